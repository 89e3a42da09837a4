"""What a ledger gave for a rehearsal."""

from dataclasses import dataclass

from rollout.rehearsal.job_stream import JobStream


@dataclass(frozen=True, slots=True)
class FromLedger:
    """A stream out of a ledger, and what it is made of.

    Attributes:
        stream: The jobs.
        on_legacy: Jobs whose run on legacy was recorded.
        on_concurrent: Jobs whose run on the concurrent path was recorded.
        left_out: Finished jobs that say nothing about a path: moved by a kill, a gate or a revert,
            hurt by a drill, or with times that cannot be.
    """

    stream: JobStream
    on_legacy: int
    on_concurrent: int
    left_out: int
