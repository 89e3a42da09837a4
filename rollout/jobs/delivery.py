"""A job as it is delivered, its paths as its way needs them, and what becomes of a delivery."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rollout.errors import LedgerUnreachable
from rollout.jobs.claims import Refusal
from rollout.jobs.order import OnFailure
from rollout.jobs.ports import Filing, Job
from rollout.jobs.resources import Need
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects


class Paths(Protocol):
    """The declared sub-pipeline, as far as one job's way needs it."""

    name: str
    effects: Effects
    holdback_bp: int
    hurt: bool
    """Whether a drill has struck in the path: whatever came of it, legacy runs the job again."""

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path's function with the job's arguments."""
        ...

    def write(self, value: Any, job: Job) -> str:
        """Call the commit hook, if there is one, and give the result as JSON text."""
        ...

    def read(self, result: str) -> Any:
        """Read a result back."""
        ...


class Withdrawn(BaseException):
    """A path that stopped itself because `Job.goes_on` said no; nothing of it counts.

    No `Exception`, as with a cancelled task of asyncio: `autoretry_for=(Exception,)` and clean-up
    code must not take it for a failure.
    """


@dataclass(frozen=True, slots=True)
class Delivery:
    """A job as a queue (or `run`) delivers it.

    Attributes:
        filing: Files it when the ledger lacks it.
        drilled: It was sent while a drill was aimed at legacy, so that a start there asks.
        expendable: This process may be killed by a drill: it is one child of a pool.
        on_failure: Jobs of a key start in order, and this is what one that fails does with the
            others; None where no order is kept.
        needs: Resources that its start takes.
    """

    job: Job
    worker: str
    filing: Callable[[], Filing]
    drilled: bool = False
    expendable: bool = False
    on_failure: OnFailure | None = None
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class PathRun:
    """What a path returned, and how many seconds it took."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """The job has its outcome; `duplicate` when this delivery was not the one that made it.

    `ran` is the run that this delivery committed, unless the job had fallen back before or was
    sent during a drill: such a run is nothing to compare a shadow with.
    """

    value: Any
    duplicate: bool = False
    ran: PathRun | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ToLegacy:
    """The message has to be sent to the legacy queue, then acknowledged.

    `recorded` says that the ledger has moved the job, so that the sweeper sends it should the
    broker be away.
    """

    reason: Reason
    recorded: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Dropped:
    """The message is a leftover and is acknowledged; somebody else has the job."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has failed and is kept; the error is passed on to the caller."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Wait:
    """The ledger is away and this job may not run without it: deliver it again later."""

    error: LedgerUnreachable


Outcome = Done | ToLegacy | Dropped | Failed | Wait
