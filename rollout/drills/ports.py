"""What drills need of the ledger: marks, spans, journal; `plans.py` has their needs of the store.

Beside `jobs/ports.py`, which the way of every job needs; a job needs these only under a drill. All
methods raise ControlStoreUnreachable or LedgerUnreachable, as those there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobRecord
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects


class JobMarker(Protocol):
    """The ledger, as far as a worker under a drill needs it. All raise LedgerUnreachable."""

    def mark_drilled(
        self, name: str, job_id: str, drill_id: str, fault: str, now: datetime
    ) -> bool:
        """Note that a drill hurts this job; False when it is not filed, or was hurt before."""
        ...

    def hold_lock(self, seconds: float, goes_on: Callable[[], bool]) -> None:
        """Keep every other writer out for so long, or until `goes_on` says no."""
        ...


@dataclass(frozen=True, slots=True)
class DrillEvent:
    """One line of a drill's journal; `facts` are plain JSON."""

    drill_id: str
    name: str
    at: datetime
    what: str
    facts: Mapping[str, Any]


class Journals(Protocol):
    """The ledger's journal of drills, as far as people read it. Both raise LedgerUnreachable."""

    def drill_events(self, drill_id: str) -> list[DrillEvent]:
        """Read one drill's journal, oldest first."""
        ...

    def drills(self, name: str | None, limit: int) -> list[DrillEvent]:
        """Read the first and the last line of each drill, newest drill first."""
        ...


class DrillLedger(JobMarker, Journals, Protocol):
    """The ledger, as far as the runner of a drill needs it. All raise LedgerUnreachable."""

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        ...

    def drilled_jobs(self, drill_id: str) -> list[JobRecord]:
        """Read the jobs that a drill hurt, with their ways, without their envelopes."""
        ...

    def mark_victims(
        self, name: str, path: JobPath, drill_id: str, since: datetime, now: datetime
    ) -> int:
        """Mark jobs that a path has failed since then, and that no worker marked; how many."""
        ...

    def jobs_since(self, name: str, since: datetime) -> list[JobRecord]:
        """Read the jobs admitted since an hour before then, without their envelopes."""
        ...

    def window(self, name: str, since: datetime, until: datetime) -> Mapping[JobPath, PathSample]:
        """Say what each path did in a window; see `rollout.evidence.sample.PathSample`."""
        ...

    def begin_span(self, name: str, drill_id: str, began_at: datetime, ends_at: datetime) -> None:
        """Note that jobs admitted from now on, at the latest to `ends_at`, are nobody's sample."""
        ...

    def end_span(self, drill_id: str, ended_at: datetime) -> None:
        """Note when that ended."""
        ...

    def append_drill(self, events: Sequence[DrillEvent]) -> None:
        """Append to the journal of drills; nothing in it is ever changed."""
        ...
