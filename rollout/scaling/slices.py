"""What was measured: a slice is one number of workers, busy for a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """What one worker did and used in a slice.

    Attributes:
        jobs: Jobs that it finished in the slice; the one at its end counts by its share.
        failed: Jobs of these that raised.
        seconds: How long it was at it.
        cpu_s: CPU seconds of it and of its children that have ended.
        runnable_s: Seconds in which it could have run and had no core; None when nothing tells.
        memory_bytes: Its largest resident memory so far.
        major_faults: Pages that came from disk.
        longest_s: Its longest job.
    """

    jobs: float
    failed: int
    seconds: float
    cpu_s: float
    runnable_s: float | None
    memory_bytes: int
    major_faults: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Slice:
    """One moment with so many workers.

    Attributes:
        workers: How many.
        number: Which round; slices of one round lie next to each other in time.
        uses: What each worker did.
        others_cores: Cores that everybody else on the machine had busy.
        waits: How often a worker was seen waiting in which call of the system.
        memory_left_bytes: Least memory that the machine had left.
    """

    workers: int
    number: int
    uses: Sequence[WorkerUse]
    others_cores: float = 0.0
    waits: Mapping[str, int] = field(default_factory=dict)
    memory_left_bytes: int | None = None

    @property
    def rate(self) -> float:
        """Jobs a second, all workers together."""
        return sum(one.jobs / one.seconds for one in self.uses if one.seconds > 0)

    @property
    def jobs(self) -> float:
        """Jobs in it."""
        return sum(one.jobs for one in self.uses)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that a scale test measured.

    Attributes:
        name: The sub-pipeline.
        slices: In the order in which they ran.
        cores: Cores that this process may use.
        inputs: Different inputs that went round.
        source: Where they come from.
        seconds: How long it all took.
        cpu_s: CPU seconds of all its processes, start included.
        memory_bytes: Most memory that its workers had together.
        ended: Why it ended before its plan was done; "" when it was done.
        workers_max: Most workers that were asked for.
        memory_cut: Whether more workers would not have fitted into memory.
    """

    name: str
    slices: Sequence[Slice]
    cores: float
    inputs: int
    source: str
    seconds: float
    cpu_s: float
    memory_bytes: int
    ended: str
    workers_max: int
    memory_cut: bool = False

    @property
    def levels(self) -> list[int]:
        """Numbers of workers that were measured, growing."""
        return sorted({one.workers for one in self.slices})

    def at(self, workers: int) -> list[Slice]:
        """Slices with so many workers."""
        return [one for one in self.slices if one.workers == workers]


def levels_to(workers_max: int) -> list[int]:
    """1, 2, 4, ... up to a number of workers; the doublings that a scale test measures."""
    return [2**power for power in range(workers_max.bit_length()) if 2**power <= workers_max]


def plan(levels: Sequence[int], seconds: float, job_s: float) -> tuple[int, float]:
    """How many rounds, and how long each slice is.

    A slice should hold some jobs of each worker, and rounds are what the interval comes from: six
    of them where the time allows it, three at the least.

    Args:
        levels: Numbers of workers.
        seconds: What may be used in all.
        job_s: One job alone.

    Returns:
        Rounds, and seconds a slice.
    """
    slice_s = 0.0
    for rounds in range(ROUNDS_MAX, ROUNDS_MIN - 1, -1):
        # A slice ends with its last job, and is told and asked about.
        slice_s = seconds / (rounds * len(levels)) - job_s - AROUND_S
        if slice_s >= max(SLICE_S_MIN, JOBS_PER_SLICE * job_s):
            return rounds, slice_s
    return ROUNDS_MIN, max(slice_s, SLICE_S_LEAST)


ROUNDS_MAX, ROUNDS_MIN = 6, 3
SLICE_S_MIN = 0.5
"""A shorter slice is mostly the start and the end of its workers."""
SLICE_S_LEAST = 0.1
"""What is tried where the time does not allow more; it may be over before the plan is."""
AROUND_S = 0.1
"""What a slice takes beside its runs on a busy machine."""
JOBS_PER_SLICE = 5
"""So many jobs of each worker make the share of the last one small."""
