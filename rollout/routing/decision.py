"""Where a job runs, and why: the one object that logs, metrics and status all use."""

from dataclasses import dataclass
from enum import StrEnum


class JobPath(StrEnum):
    """The two ways a job can run."""

    LEGACY = "legacy"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Means:
    """What a reason means beside its word; a reason that says nothing of these is all False.

    Attributes:
        drawn: Chance chose the path, so the job compares the two. Any other decision at
            submission compares nothing.
        usual: Legacy has the job in ordinary running, so it shows what legacy is like.
        fallback: It counts against the concurrent path, whose job legacy took over.
        not_its_doing: A move to legacy that was no doing of the concurrent path. What is lost or
            stopped still counts, with the time that it cost.
        final: A retry of the job stays on legacy.
        by_kill: A kill sends the job to legacy.
        ends_drilled_run: A drill's fault ended the job's run with it, on legacy as well.
        closes: Why nothing may run concurrently, in words; empty where it closes no gate.
    """

    drawn: bool = False
    usual: bool = False
    fallback: bool = False
    not_its_doing: bool = False
    final: bool = False
    by_kill: bool = False
    ends_drilled_run: bool = False
    closes: str = ""


class Reason(StrEnum):
    """Why a job takes the path it takes; the word is the metric label."""

    means: Means

    def __new__(cls, word: str, means: Means = Means()) -> "Reason":
        """Make a member of a word and what it means."""
        one = str.__new__(cls, word)
        one._value_ = word
        one.means = means
        return one

    IN_SCOPE = "in_scope", Means(drawn=True)
    """The key lies inside the scope: concurrent."""
    OUT_OF_SCOPE = "out_of_scope", Means(drawn=True, usual=True, not_its_doing=True)
    """The key lies outside the scope: legacy."""
    STAGE = (
        "stage",
        Means(
            usual=True,
            not_its_doing=True,
            closes="its stage sends nothing to the concurrent path",
        ),
    )
    """The stage sends nothing to the concurrent path."""
    KILLED = "killed", Means(by_kill=True, not_its_doing=True, closes="it is killed")
    """A person killed this sub-pipeline."""
    KILLED_ALL = "killed_all", Means(by_kill=True, not_its_doing=True, closes="all are killed")
    """A person killed every sub-pipeline."""
    UNKNOWN = "unknown", Means(not_its_doing=True, closes="the control store holds nothing for it")
    """The control store answers but holds nothing for this name."""
    UNREADABLE = (
        "unreadable",
        Means(not_its_doing=True, closes="the control store holds something unreadable"),
    )
    """The control store holds something that is not a control state."""
    UNREACHABLE = (
        "unreachable",
        Means(not_its_doing=True, closes="the control store does not answer"),
    )
    """The control store did not answer in time."""
    UNSUPERVISED = (
        "unsupervised",
        Means(not_its_doing=True, closes="no controller was heard of; start `rollout controller`"),
    )
    """No controller has been heard of within the supervision time."""
    UNFILED = "unfiled"
    """The ledger could not take the job at submission."""
    LEDGER_UNREACHABLE = "ledger_unreachable", Means(not_its_doing=True)
    """The ledger could not record the start; only legacy may run without it."""
    OPTED_OUT = "opted_out"
    """The caller named a queue of its own; the job bypasses rollout's routing."""
    FAILED = "failed", Means(fallback=True, final=True)
    """The concurrent path raised an error; legacy takes over (a fallback)."""
    TIME_LIMIT = "time_limit", Means(fallback=True, final=True)
    """The concurrent path ran past its time limit; legacy takes over (a fallback)."""
    WORKER_LOST = "worker_lost", Means(fallback=True, final=True, ends_drilled_run=True)
    """The worker died under the job; legacy takes over (a fallback)."""
    STOPPED = "stopped"
    """The worker was told to stop and could not finish in time; legacy takes over."""
    FENCED = "fenced", Means(by_kill=True, final=True, not_its_doing=True)
    """A kill came while the job ran; its commit was refused and legacy runs it."""
    LOST_MESSAGE = "lost_message"
    """The ledger had the job but no queue did; it was sent again to legacy."""
    DRILL = "drill", Means(ends_drilled_run=True)
    """A drill sent the job to legacy, or broke its run there; legacy runs it (again)."""
    RETRIED_BY_HAND = "retried_by_hand"
    """A person sent a kept failure again, to legacy."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Path, reason and the revision of the control state it was made on (-1: none was read).

    `drilled` says that a drill is aimed at this path, so that the start asks for its plan.
    """

    path: JobPath
    reason: Reason
    revision: int
    drilled: bool = False
