"""Where a job runs, and why: the one object that logs, metrics and status all use."""

from dataclasses import dataclass
from enum import StrEnum


class JobPath(StrEnum):
    """The two ways a job can run."""

    LEGACY = "legacy"
    CONCURRENT = "concurrent"


class Reason(StrEnum):
    """Why a job takes the path it takes; the word is the metric label."""

    IN_SCOPE = "in_scope"
    """The key lies inside the scope: concurrent."""
    OUT_OF_SCOPE = "out_of_scope"
    """The key lies outside the scope: legacy."""
    STAGE = "stage"
    """The stage sends nothing to the concurrent path."""
    KILLED = "killed"
    """A person killed this sub-pipeline."""
    KILLED_ALL = "killed_all"
    """A person killed every sub-pipeline."""
    UNKNOWN = "unknown"
    """The control store answers but holds nothing for this name."""
    UNREADABLE = "unreadable"
    """The control store holds something that is not a control state."""
    UNREACHABLE = "unreachable"
    """The control store did not answer in time."""
    UNSUPERVISED = "unsupervised"
    """No controller has been heard of within the supervision time."""
    UNFILED = "unfiled"
    """The ledger could not take the job at submission."""
    LEDGER_UNREACHABLE = "ledger_unreachable"
    """The ledger could not record the start; only legacy may run without it."""
    OPTED_OUT = "opted_out"
    """The caller named a queue of its own; the job bypasses rollout's routing."""
    FAILED = "failed"
    """The concurrent path raised an error; legacy takes over (a fallback)."""
    TIME_LIMIT = "time_limit"
    """The concurrent path ran past its time limit; legacy takes over (a fallback)."""
    WORKER_LOST = "worker_lost"
    """The worker died under the job; legacy takes over (a fallback)."""
    STOPPED = "stopped"
    """The worker was told to stop and could not finish in time; legacy takes over."""
    FENCED = "fenced"
    """A kill came while the job ran; its commit was refused and legacy runs it."""
    LOST_MESSAGE = "lost_message"
    """The ledger had the job but no queue did; it was sent again to legacy."""
    DRILL = "drill"
    """A drill sent the job to legacy, or broke its run there; legacy runs it (again)."""
    RETRIED_BY_HAND = "retried_by_hand"
    """A person sent a kept failure again, to legacy."""


FALLBACK_REASONS = frozenset({Reason.FAILED, Reason.TIME_LIMIT, Reason.WORKER_LOST})
"""Reasons that count against the concurrent path; a kill does not."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Path, reason and the revision of the control state it was made on (-1: none was read).

    `drilled` says that a drill is aimed at this path, so that the start asks for its plan.
    """

    path: JobPath
    reason: Reason
    revision: int
    drilled: bool = False
