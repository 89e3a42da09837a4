"""`resources={"warehouse": 1}`: so many jobs use a thing at once, over sub-pipelines and paths.

A job takes all that it needs in its claim, or nothing: then it is put to rest in the ledger, its
message is acknowledged, and whoever gives something back calls the next ones. What a claim has
taken is worth something while the ledger says that this very attempt runs. So every way in which
an attempt ends or loses its job gives it back at that moment, and none has to know of resources.

Jobs come in the order in which they first asked. One takes its turn when there is room for those
in front of it as well, so that light jobs cannot starve a heavy one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from rollout.jobs.claims import JobRef

if TYPE_CHECKING:
    from rollout.jobs.ports import Handed

CALLED_FOR = timedelta(seconds=30)
"""Room is kept so long for a job that was called: its queue may have no worker. A choice of ours;
it costs fairness when a message takes longer, never capacity."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a job takes of a resource; `capacity` is how much there is, as its process has read."""

    resource: str
    weight: int
    capacity: int


def has_room(taken: int, weight: int, capacity: int) -> bool:
    """Whether a job may take its turn.

    Args:
        taken: What running jobs hold and jobs in front of it want.
        weight: What it wants. One that wants more than there is by now runs alone.
        capacity: How much there is.
    """
    return taken + min(weight, capacity) <= capacity


def keeps_room(called_at: datetime | None, now: datetime) -> bool:
    """Whether a waiting job is reckoned with: one that was called and has not come is not."""
    return called_at is None or now - called_at <= CALLED_FOR


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """One job at one resource: it holds it, or it waits.

    Attributes:
        since: Since when it holds or waits.
        worker: Who runs it; None for one that waits.
        called_at: When one that waits was sent; None while it rests.
    """

    resource: str
    name: str
    job_id: str
    weight: int
    capacity: int
    since: datetime
    worker: str | None
    called_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """Whether it holds, and does not wait."""
        return self.worker is not None

    @property
    def ref(self) -> JobRef:
        """The job."""
        return self.name, self.job_id


@dataclass(frozen=True, slots=True)
class Lines:
    """Resources that somebody waits for, and where the walk over what is stale goes on."""

    resources: tuple[str, ...]
    after: int


class Resources(Protocol):
    """The ledger, as far as it keeps resources; `JobLedger.claim` takes them.

    All raise LedgerUnreachable.
    """

    def call_next(self, capacities: Mapping[str, int | None], now: datetime) -> "list[Handed]":
        """Call the jobs that wait for these resources and have room now; they must be sent.

        Each is called once. `capacities` None goes by what the waiting jobs were declared with.
        """
        ...

    def lines(self, limit: int, after: int = 0) -> Lines:
        """Say what is waited for, and forget `limit` entries behind number `after` that are stale.

        An entry is stale when its job neither waits nor runs with it.
        """
        ...

    def resource_uses(self, resources: Sequence[str] | None, limit: int) -> list[ResourceUse]:
        """Read who holds and who waits, by resource; waiting ones in their order, behind holders.

        Args:
            resources: Which; None for all.
            limit: At most so many.
        """
        ...

    def resources_of(self, name: str, job_id: str) -> list[str]:
        """Resources that a job waits for."""
        ...
