"""Who holds a resource and who waits, on a database; see `jobs.resources`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, and_, case, delete, literal, null, or_, select, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.resource_lane import ResourceLane
from rollout.adapters.sql.resource_statements import (
    HOLDS,
    LOCK,
    RUNS,
    WAITS,
    lock_key,
    reckoned,
    sum_taken,
)
from rollout.adapters.sql.resource_tables import resource_use
from rollout.adapters.sql.tables import UtcTime, job
from rollout.jobs.claims import JobState
from rollout.jobs.order import NEVER
from rollout.jobs.ports import Handed
from rollout.jobs.resources import CALLED_FOR, Lines, ResourceUse, has_room
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason

_WAITING = resource_use.c.nonce.is_(None)
_STALE = ~or_(and_(HOLDS, RUNS), and_(_WAITING, WAITS))


class ResourceRows:
    """The part of the ledger that keeps resources; `JobRows.claim` takes them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def call_next(self, capacities: Mapping[str, int | None], now: datetime) -> list[Handed]:
        """Call the jobs that wait for these resources and have room now."""
        with self._db.translated():
            if self._resource_lane.nobody_waits(sorted(capacities)):
                return []
        with self._alone_at(capacities) as connection:
            called: dict[tuple[str, str], Handed] = {}
            for resource, capacity in sorted(capacities.items()):
                for row in self._first_in_line(connection, resource, capacity, now):
                    ref = (row.name, row.job_id)
                    if ref not in called and self._has_room_elsewhere(connection, row, now):
                        handed = _call(connection, row, now)
                        if handed is not None:
                            called[ref] = handed
            return list(called.values())

    @cached_property
    def _resource_lane(self) -> ResourceLane:
        """Where every outcome is tried first."""
        return ResourceLane(self._db)

    def _first_in_line(
        self, connection: Connection, resource: str, capacity: int | None, now: datetime
    ) -> list[Any]:
        """Entries of waiting jobs that were not called and for which this resource has room."""
        of_it = resource_use.c.resource == resource
        weight = resource_use.c.weight
        stale = and_(of_it, HOLDS, ~RUNS)
        connection.execute(delete(resource_use).where(stale))
        waiting = select(resource_use).where(of_it, reckoned(_since(now)))
        waiting = waiting.order_by(resource_use.c.id)
        if capacity is None:
            first = connection.execute(waiting.limit(1)).first()
            if first is None:
                return []
            capacity = int(first.capacity)
        held = select(weight).where(of_it, HOLDS)
        taken = sum(min(one, capacity) for one in connection.execute(held).scalars())
        found = []
        for row in connection.execute(waiting.limit(max(0, capacity - taken))):
            if not has_room(taken, row.weight, capacity):
                break
            taken += min(row.weight, capacity)
            if row.called_at is None:
                found.append(row)
        return found

    def _has_room_elsewhere(self, connection: Connection, row: Any, now: datetime) -> bool:
        """Whether the other resources that a job waits for have room; its claim asks again."""
        others = select(resource_use).where(_entries_of(row), resource_use.c.id != row.id)
        for one in connection.execute(others).all():
            taken = connection.execute(
                sum_taken(
                    literal(one.resource),
                    literal(one.capacity),
                    literal(one.name),
                    literal(one.job_id),
                    _since(now),
                )
            ).scalar_one()
            if not has_room(taken, one.weight, one.capacity):
                return False
        return True

    def lines(self, limit: int, after: int = 0) -> Lines:
        """Say what is waited for, and forget entries that are stale, a slice at a time."""
        waited = select(resource_use.c.resource).where(_WAITING).distinct()
        is_stale = case((_STALE, True), else_=False)
        walked = (
            select(resource_use.c.id, is_stale)
            .where(resource_use.c.id > after)
            .order_by(resource_use.c.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            resources = tuple(sorted(connection.execute(waited).scalars()))
            rows = connection.execute(walked).all()
        stale = [number for number, is_one in rows if is_one]
        if stale:
            with self._db.write() as connection:
                connection.execute(delete(resource_use).where(resource_use.c.id.in_(stale), _STALE))
        return Lines(resources, rows[-1][0] if len(rows) == limit else 0)

    def resource_uses(self, resources: Sequence[str] | None, limit: int) -> list[ResourceUse]:
        """Read who holds and who waits, by resource; waiting ones in their order."""
        query = (
            select(resource_use, job.c.worker)
            .join(
                job, and_(job.c.name == resource_use.c.name, job.c.job_id == resource_use.c.job_id)
            )
            .where(~_STALE)
            .order_by(resource_use.c.resource, _WAITING, resource_use.c.id)
            .limit(limit)
        )
        if resources is not None:
            query = query.where(resource_use.c.resource.in_(list(resources)))
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return [
            ResourceUse(
                row.resource,
                row.name,
                row.job_id,
                row.weight,
                row.capacity,
                row.since,
                None if row.nonce is None else row.worker or "",
                row.called_at,
            )
            for row in rows
        ]

    def resources_of(self, name: str, job_id: str) -> list[str]:
        """Resources that a job waits for."""
        mine = and_(resource_use.c.name == name, resource_use.c.job_id == job_id)
        query = select(resource_use.c.resource).where(mine, _WAITING, WAITS)
        with self._db.read() as connection:
            return sorted(connection.execute(query).scalars())

    @contextmanager
    def _alone_at(self, resources: Mapping[str, object]) -> Iterator[Connection]:
        """A transaction beside which nobody takes or calls at these; SQLite has one writer."""
        with self._db.write() as connection:
            if self._db.is_postgresql:
                for key in sorted(lock_key(resource) for resource in resources):
                    connection.execute(LOCK, {"key": key})
            yield connection


def _since(now: datetime) -> Any:
    return literal(now - CALLED_FOR, UtcTime)


def _entries_of(row: Any) -> Any:
    return and_(resource_use.c.name == row.name, resource_use.c.job_id == row.job_id, _WAITING)


def _call(connection: Connection, row: Any, now: datetime) -> Handed | None:
    """Note that a job is called; None when it does not rest: its message is on its way."""
    connection.execute(update(resource_use).where(_entries_of(row)).values(called_at=now))
    sent = connection.execute(
        update(job)
        .where(
            job.c.name == row.name,
            job.c.job_id == row.job_id,
            job.c.state == JobState.ACCEPTED,
            job.c.not_before == NEVER,
        )
        .values(sent_at=now, not_before=null(), way=job.c.way + step(now, "called"))
        .returning(job.c.path, job.c.envelope, job.c.reason)
    ).first()
    if sent is None:
        return None
    return Handed(row.job_id, row.name, sent.envelope, Reason(sent.reason), JobPath(sent.path))
