"""What has happened to jobs lately, in memory."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rollout.adapters.memory.rows import Rows
from rollout.jobs.claims import JobRecord
from rollout.jobs.recent import (
    KEYS_BACK,
    Came,
    JobKind,
    PacedJob,
    RecentCount,
    came_of,
    is_of,
)
from rollout.routing.decision import JobPath


class RecentRows:
    """The part of the ledger that says what has happened lately."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def recent_counts(self, since: datetime, name: str | None = None) -> Sequence[RecentCount]:
        """Count jobs admitted since then."""
        found: defaultdict[tuple[str, JobPath, Came, bool], list[datetime]] = defaultdict(list)
        with self._rows as rows:
            for one in rows.jobs.values():
                if one.accepted_at >= since and name in (None, one.name):
                    key = (one.name, one.assigned_path, came_of(one), one.drill is not None)
                    found[key].append(one.accepted_at)
        return [
            RecentCount(*key, len(times), min(times), max(times)) for key, times in found.items()
        ]

    def ids_like(self, beginning: str, limit: int, name: str | None = None) -> list[str]:
        """Ids of jobs that begin so, in order."""
        with self._rows as rows:
            ids = {job.job_id for job in rows.jobs.values() if name in (None, job.name)}
        return sorted(job_id for job_id in ids if job_id.startswith(beginning))[:limit]

    def paced_jobs(self, name: str, since: datetime | None, limit: int) -> list[PacedJob]:
        """Read how long the newest jobs took."""
        with self._rows as rows:
            mine = [
                one
                for one in rows.jobs.values()
                if one.name == name
                and one.drill is None
                and (since is None or one.accepted_at >= since)
            ]
        mine.sort(key=lambda one: one.accepted_at, reverse=True)
        return [
            PacedJob(
                one.accepted_at,
                one.assigned_path,
                came_of(one) in (Came.FAILED, Came.FELL_BACK),
                None
                if one.finished_at is None
                else (one.finished_at - one.accepted_at).total_seconds(),
            )
            for one in mine[:limit]
        ]

    def jobs_with_key(self, name: str, key: str, limit: int) -> list[JobRecord]:
        """Read jobs with this routing key among the newest."""
        with self._rows as rows:
            mine = [one for one in rows.jobs.values() if one.name == name]
        mine.sort(key=lambda one: one.job_id)
        mine.sort(key=lambda one: one.accepted_at, reverse=True)
        found = [replace(one, envelope="") for one in mine[:KEYS_BACK] if one.key == key]
        return found[:limit]

    def recent_jobs(
        self,
        name: str | None,
        kind: JobKind,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, str] | None = None,
    ) -> list[JobRecord]:
        """Read jobs of one kind, newest admission first, without their messages."""
        with self._rows as rows:
            found = [
                replace(one, envelope="")
                for one in rows.jobs.values()
                if name in (None, one.name)
                and is_of(one, kind)
                and (since is None or one.accepted_at >= since)
                and (before is None or _is_after(one, *before))
            ]
        found.sort(key=lambda one: one.job_id)
        found.sort(key=lambda one: one.accepted_at, reverse=True)
        return found[:limit]


def _is_after(one: JobRecord, at: datetime, job_id: str) -> bool:
    """Whether a job stands after another, newest admission first and then by id."""
    return one.accepted_at < at or (one.accepted_at == at and one.job_id > job_id)
