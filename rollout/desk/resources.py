"""Who holds each resource, who waits for it, and what one job waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Protocol

from rollout.desk.plain import Json
from rollout.desk.text import span_text
from rollout.errors import RolloutError
from rollout.jobs.resources import ResourceUse

USES_MAX = 10_000
"""Jobs at all resources that are read; a line of more is jammed all the same."""
_NAMED_MAX = 3


class UnknownResource(RolloutError):
    """A resource that nobody declares and no job uses."""

    def __init__(self, resource: str, known: Sequence[str]) -> None:
        self.resource = resource
        close = get_close_matches(resource, known, n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"no resource named {resource!r}{guess}",
            "`rollout resources` lists all; rollout.toml declares them as [resource.NAME]",
        )


class Used(Protocol):
    """The ledger, as far as resources are looked at. All raise LedgerUnreachable."""

    def resource_uses(self, resources: Sequence[str] | None, limit: int) -> list[ResourceUse]:
        """Read who holds and who waits, by resource; waiting ones in their order."""
        ...

    def resources_of(self, name: str, job_id: str) -> list[str]:
        """Resources that a job waits for."""
        ...


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """One resource; `capacity` is None where neither `rollout.toml` nor a job says it."""

    resource: str
    capacity: int | None
    holders: tuple[ResourceUse, ...] = ()
    waiters: tuple[ResourceUse, ...] = ()

    @property
    def taken(self) -> int:
        """What is held of it."""
        return sum(one.weight for one in self.holders)

    @property
    def sentence(self) -> str:
        """How full it is."""
        waits = {0: "nobody waits", 1: "1 job waits"}.get(
            len(self.waiters), f"{len(self.waiters)} jobs wait"
        )
        return f"{self.taken} of {self.capacity} taken, {waits}"

    def to_json(self, now: datetime) -> Json:
        """What scripts read; positions count from 1."""
        return {
            "resource": self.resource,
            "capacity": self.capacity,
            "taken": self.taken,
            "holders": [{**_use_json(one, now), "worker": one.worker} for one in self.holders],
            "waiters": [
                {**_use_json(one, now), "position": position, "called": one.called_at is not None}
                for position, one in enumerate(self.waiters, 1)
            ],
        }


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """Resources by name, as they are at one moment."""

    at: datetime
    lines: tuple[ResourceLine, ...]

    def age(self, use: ResourceUse) -> str:
        """How long a job has held it or waited, as people say it."""
        return span_text(self.at - use.since)

    def to_json(self) -> Json:
        """What scripts read."""
        return {"resources": [line.to_json(self.at) for line in self.lines]}


def read_resources(
    ledger: Used, capacities: Mapping[str, int], resource: str | None, now: datetime
) -> ResourcePage:
    """Read one resource, or all that are declared here or used.

    Raises:
        UnknownResource, LedgerUnreachable: It cannot be read.
    """
    uses = ledger.resource_uses(None if resource is None else [resource], USES_MAX)
    known = sorted({*capacities, *(use.resource for use in uses)})
    if resource is not None and resource not in known:
        raise UnknownResource(resource, known)
    wanted = known if resource is None else [resource]
    return ResourcePage(now, tuple(_line(one, uses, capacities.get(one)) for one in wanted))


def waits_for(ledger: Used, name: str, job_id: str) -> str | None:
    """Say what a job waits for, who has it and how many are in front; None for one that does not.

    Raises:
        LedgerUnreachable: Nobody can say.
    """
    resources = ledger.resources_of(name, job_id)
    if not resources:
        return None
    uses = ledger.resource_uses(resources, USES_MAX)
    return "; ".join(_waits(_line(one, uses, None), (name, job_id)) for one in resources)


def _waits(line: ResourceLine, ref: tuple[str, str]) -> str:
    refs = [one.ref for one in line.waiters]
    in_front = refs.index(ref) if ref in refs else len(refs)
    mine = [one for one in line.waiters if one.ref == ref]
    if any(one.called_at is not None for one in mine):
        return f"for {line.resource}: it was called and is on its way"
    by = ", ".join(one.job_id for one in line.holders[:_NAMED_MAX])
    more = len(line.holders) - _NAMED_MAX
    by += f" and {more} more" if more > 0 else ""
    held = f"held by {by}" if by else "held by nobody"
    jobs = "1 job" if in_front == 1 else f"{in_front} jobs"
    return f"for {line.resource}, {held}, {jobs} in front"


def _line(resource: str, uses: Sequence[ResourceUse], capacity: int | None) -> ResourceLine:
    here = [use for use in uses if use.resource == resource]
    if capacity is None and here:
        capacity = max(here, key=lambda use: use.since).capacity
    holders = tuple(use for use in here if use.holds)
    return ResourceLine(resource, capacity, holders, tuple(use for use in here if not use.holds))


def _use_json(use: ResourceUse, now: datetime) -> Json:
    return {
        "job_id": use.job_id,
        "sub_pipeline": use.name,
        "takes": use.weight,
        "since": use.since.isoformat(),
        "seconds": max(0.0, (now - use.since).total_seconds()),
    }
