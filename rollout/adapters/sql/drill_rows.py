"""Drills in the ledger: marks on jobs, spans, results, the journal."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, and_, func, insert, or_, select, text, union_all, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.drill_tables import drill_event
from rollout.adapters.sql.job_values import record_of
from rollout.adapters.sql.pilot_tables import drill_span
from rollout.adapters.sql.tables import OPEN, job
from rollout.drills.ports import DrillEvent
from rollout.drills.score import FROM_OUTSIDE, has_failed
from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.way import step
from rollout.routing.decision import JobPath

LOCK_NAP_S = 0.05
_WEIGHED = (
    job.c.assigned_path,
    job.c.state,
    job.c.fallback_reason,
    job.c.moved_reason,
    job.c.drill,
    job.c.accepted_at,
    job.c.finished_at,
)
_FIRST, _LAST = "declared", "ended"
_RECORDED = tuple(column for column in job.c if column.name != "envelope")


class DrillRows:
    """`drills.ports.DrillLedger`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # What a worker does ------------------------------------------------------------------

    def mark_drilled(
        self, name: str, job_id: str, drill_id: str, fault: str, now: datetime
    ) -> bool:
        """Note that a drill hurts this job; False when it is not filed, or was hurt before."""
        line = step(now, "drilled", drill=drill_id, fault=fault)
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(job.c.name == name, job.c.job_id == job_id, job.c.drill.is_(None))
                .values(drill=drill_id, way=job.c.way + line)
            )
            return done.rowcount == 1

    def hold_lock(self, seconds: float, goes_on: Callable[[], bool]) -> None:
        """Keep every other writer out for so long, or until `goes_on` says no.

        On SQLite that is the single writer's lock; on PostgreSQL a lock of the table of jobs,
        which the server ends by itself when this process falls silent. It leaves the fence and
        the control rows alone, so a kill is never kept waiting by it; on SQLite a kill sets its
        latch in the store first, which `goes_on` sees.
        """
        deadline = time.monotonic() + seconds
        with self._db.write() as connection:
            if self._db.is_postgresql:
                limit_ms = int(seconds * 1000) + 1000
                connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                connection.execute(
                    text(f"SET LOCAL idle_in_transaction_session_timeout = {limit_ms}")
                )
                connection.execute(text(f"LOCK TABLE {self._db.named(job)} IN EXCLUSIVE MODE"))
            while time.monotonic() < deadline and goes_on():
                time.sleep(LOCK_NAP_S)

    # What the runner asks ----------------------------------------------------------------

    def drilled_jobs(self, drill_id: str) -> list[JobRecord]:
        """Read the jobs that a drill hurt, with their ways, without their envelopes."""
        query = select(*_RECORDED).where(job.c.drill == drill_id).order_by(job.c.accepted_at)
        with self._db.read() as connection:
            return [record_of(row) for row in connection.execute(query).mappings()]

    def mark_victims(
        self, name: str, path: JobPath, drill_id: str, since: datetime, now: datetime
    ) -> int:
        """Mark jobs that a path has failed since then, and that no worker marked; how many."""
        line = step(now, "drilled", drill=drill_id, fault=FROM_OUTSIDE)
        moved = and_(job.c.moved_reason.is_not(None), job.c.sent_at >= since)
        failed = and_(job.c.state == JobState.FAILED, job.c.finished_at >= since)
        with self._db.write() as connection:
            return connection.execute(
                update(job)
                .where(
                    job.c.name == name,
                    job.c.assigned_path == path,
                    job.c.accepted_at >= since - timedelta(hours=1),
                    job.c.drill.is_(None),
                    or_(moved, failed),
                )
                .values(drill=drill_id, way=job.c.way + line)
            ).rowcount

    def jobs_since(self, name: str, since: datetime) -> list[JobRecord]:
        """Read the jobs admitted since an hour before then, without their envelopes."""
        query = (
            select(*_RECORDED)
            .where(job.c.name == name, job.c.accepted_at >= since - timedelta(hours=1))
            .order_by(job.c.accepted_at)
        )
        with self._db.read() as connection:
            return [record_of(row) for row in connection.execute(query).mappings()]

    def window(self, name: str, since: datetime, until: datetime) -> Mapping[JobPath, PathSample]:
        """Say what each path did in a window; see `rollout.evidence.sample.PathSample`.

        Unlike `samples`, jobs of drills are in it: they are what a drill looks at.
        """
        # One query per state, with the condition of its index as a literal; `name || ''` keeps
        # the planner from looking through all jobs of that name that ever were.
        finished = union_all(
            *(
                select(*_WEIGHED).where(
                    text(f"state = '{state}'"),
                    job.c.finished_at > since,
                    job.c.finished_at <= until,
                    job.c.name + "" == name,
                )
                for state in (JobState.COMMITTED, JobState.FAILED)
            )
        )
        oldest = (
            select(job.c.assigned_path, func.min(job.c.accepted_at))
            .where(
                job.c.name == name,
                OPEN,
                or_(job.c.not_before.is_(None), job.c.not_before <= until),
            )
            .group_by(job.c.assigned_path)
        )
        with self._db.read() as connection:
            rows = connection.execute(finished).all()
            waiting: dict[str, Any] = {path: at for path, at in connection.execute(oldest)}
        return {
            path: PathSample.of(
                until,
                (_timed(row) for row in rows if row.assigned_path == path),
                waiting.get(path),
            )
            for path in JobPath
        }

    def begin_span(self, name: str, drill_id: str, began_at: datetime, ends_at: datetime) -> None:
        """Note that jobs admitted from now on, at the latest to `ends_at`, are nobody's sample.

        The end is noted beforehand: a runner that dies must not take all later jobs along.
        """
        values = {"name": name, "drill_id": drill_id, "began_at": began_at, "ended_at": ends_at}
        with self._db.write() as connection:
            connection.execute(insert(drill_span).values(values))

    def end_span(self, drill_id: str, ended_at: datetime) -> None:
        """Note when that ended."""
        with self._db.write() as connection:
            connection.execute(
                update(drill_span)
                .where(drill_span.c.drill_id == drill_id, drill_span.c.ended_at > ended_at)
                .values(ended_at=ended_at)
            )

    # The journal -------------------------------------------------------------------------

    def append_drill(self, events: Sequence[DrillEvent]) -> None:
        """Append to the journal of drills; nothing in it is ever changed."""
        rows = [
            {
                "drill_id": event.drill_id,
                "name": event.name,
                "at": event.at,
                "what": event.what,
                "facts": json.dumps(dict(event.facts)),
            }
            for event in events
        ]
        if rows:
            with self._db.write() as connection:
                connection.execute(insert(drill_event), rows)

    def drill_events(self, drill_id: str) -> list[DrillEvent]:
        """Read one drill's journal, oldest first."""
        query = select(drill_event).where(drill_event.c.drill_id == drill_id)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(drill_event.c.id)).mappings()
            return [_event_of(row) for row in rows]

    def drills(self, name: str | None, limit: int) -> list[DrillEvent]:
        """Read the first and the last line of each drill, newest drill first."""
        begun = select(drill_event.c.drill_id).where(drill_event.c.what == _FIRST)
        if name is not None:
            begun = begun.where(drill_event.c.name == name)
        begun = begun.order_by(drill_event.c.id.desc()).limit(limit)
        with self._db.read() as connection:
            ids = list(connection.execute(begun).scalars())
            query = select(drill_event).where(
                drill_event.c.drill_id.in_(ids), drill_event.c.what.in_([_FIRST, _LAST])
            )
            rows = connection.execute(query.order_by(drill_event.c.id)).mappings()
            events = [_event_of(row) for row in rows]
        return sorted(events, key=lambda event: ids.index(event.drill_id))


def _timed(row: Any) -> tuple[bool, float]:
    """Whether a path failed this job, and its cycle time in seconds."""
    failed = has_failed(row.state, row.fallback_reason, row.moved_reason, row.drill)
    return failed, (row.finished_at - row.accepted_at).total_seconds()


def _event_of(row: RowMapping) -> DrillEvent:
    return DrillEvent(
        row["drill_id"], row["name"], row["at"], row["what"], json.loads(row["facts"])
    )
