"""Places of jobs among those of their key, on a database; see `jobs.order`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, and_, case, delete, exists, func, null, or_, select, text, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.order_lane import HAS_ENDED, OrderLane, lock_of
from rollout.adapters.sql.order_tables import key_place
from rollout.adapters.sql.tables import UNFOLDED, job
from rollout.errors import IllegalTransition, UnknownJob
from rollout.jobs.claims import JobState
from rollout.jobs.order import NEVER, InFront, OnFailure, Place, Stuck, gives_up
from rollout.jobs.ports import Handed
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_OF_JOB = and_(job.c.name == key_place.c.name, job.c.job_id == key_place.c.job_id)
_ENDED = or_(job.c.job_id.is_(None), HAS_ENDED)


class OrderRows:
    """The part of the ledger that keeps the order of keys."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @cached_property
    def _order_lane(self) -> OrderLane:
        """Where every job with an order is tried first."""
        return OrderLane(self._db)

    def line_up(self, places: Sequence[Place]) -> None:
        """Take places behind those that are taken, in this order."""
        # The lock makes numbers of one key visible in their order: a sequence does not.
        with self._one_at_a_time({(place.name, place.key) for place in places}) as connection:
            self._enter(connection, *places)

    def stands_behind(self, place: Place, now: datetime) -> str | None:
        """None when the job is the first of its key and may start; else who is in front."""
        with self._db.translated():
            if self._order_lane.is_first(place.name, place.key, place.job_id):
                return None
        with self._one_at_a_time({(place.name, place.key)}) as connection:
            mine = and_(job.c.name == place.name, job.c.job_id == place.job_id)
            state = connection.execute(select(job.c.state).where(mine)).scalar_one_or_none()
            if state is None:
                raise UnknownJob(place.job_id)
            if JobState(state).finished:
                return None
            self._enter(connection, place)
            first = self._settled_first(connection, place.name, place.key)
            assert first is not None, "this job has a place"
            if first.job_id == place.job_id:
                _no_longer_waits(connection, place.name, place.job_id)
                return None
            connection.execute(
                update(key_place)
                .where(_place_of(place.name, place.job_id), ~key_place.c.waits)
                .values(waits=True, due=_due_of(place))
            )
            connection.execute(
                update(job)
                .where(mine, job.c.state == JobState.ACCEPTED)
                .values(not_before=NEVER, way=job.c.way + step(now, "waits", behind=first.job_id))
            )
            return str(first.job_id)

    def next_of(self, name: str, key: str, now: datetime) -> Handed | None:
        """Give up places of jobs that have their outcome; the next one, if it waits to be sent."""
        with self._db.translated():
            if self._order_lane.leave(name, key):
                return None
        with self._one_at_a_time({(name, key)}) as connection:
            first = self._settled_first(connection, name, key)
            if first is None or not first.waits:
                return None
            _no_longer_waits(connection, name, first.job_id)
            row = connection.execute(
                update(job)
                .where(
                    job.c.name == name,
                    job.c.job_id == first.job_id,
                    job.c.state == JobState.ACCEPTED,
                )
                .values(sent_at=now, way=job.c.way + step(now, "next of its key"))
                .returning(job.c.path, job.c.envelope, job.c.reason)
            ).first()
            if row is None:  # it fell back or was called off meanwhile: it is not to be sent
                return None
            return Handed(first.job_id, name, row.envelope, Reason(row.reason), JobPath(row.path))

    def keys_stuck(self, limit: int, after: int = 0) -> Stuck:
        """Keys whose first job has its outcome, or waits to be sent."""
        of_key = (key_place.c.name, key_place.c.key)
        # A new outcome has not been counted yet, and of these there is an index.
        fresh = select(*of_key).select_from(job).join(key_place, _OF_JOB).where(UNFOLDED, _ENDED)
        before = key_place.alias()
        is_first = ~exists().where(
            before.c.name == key_place.c.name,
            before.c.key == key_place.c.key,
            before.c.id < key_place.c.id,
        )
        walked = (
            select(key_place.c.id, *of_key, and_(or_(key_place.c.waits, _ENDED), is_first))
            .outerjoin(job, _OF_JOB)
            .where(key_place.c.id > after)
            .order_by(key_place.c.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            keys = {(name, key) for name, key in connection.execute(fresh.limit(limit))}
            rows = connection.execute(walked).all()
        keys |= {(name, key) for _, name, key, is_stuck in rows if is_stuck}
        return Stuck(tuple(sorted(keys)), rows[-1][0] if len(rows) == limit else 0)

    def in_front_of(self, name: str, job_id: str) -> InFront | None:
        """Who is the first of a waiting job's key; None for one that stands behind nobody."""
        with self._db.read() as connection:
            mine = connection.execute(select(key_place).where(_place_of(name, job_id))).first()
            if mine is None:
                return None
            before = and_(
                key_place.c.name == name, key_place.c.key == mine.key, key_place.c.id < mine.id
            )
            first = connection.execute(
                select(key_place.c.job_id, job.c.state)
                .outerjoin(job, _OF_JOB)
                .where(before)
                .order_by(key_place.c.id)
                .limit(1)
            ).first()
            if first is None:
                return None
            places = connection.execute(select(func.count()).where(before)).scalar_one()
        state = None if first.state is None else JobState(first.state)
        return InFront(first.job_id, state, places)

    def let_go(self, name: str, job_id: str, actor: str, reason: str, now: datetime) -> str:
        """Take its place from a failed job that holds its key; gives the key."""
        mine = and_(job.c.name == name, job.c.job_id == job_id)
        with self._db.write() as connection:
            # Beside a retry: it would take the place from a job that has just been reopened.
            locked = select(job.c.state, job.c.key).where(mine).with_for_update()
            row = connection.execute(locked).first()
            if row is None:
                raise UnknownJob(job_id)
            if row.state != JobState.FAILED:
                raise IllegalTransition(
                    job_id, "let go", f"while it is {row.state}", "only a failed job holds its key"
                )
            gone = connection.execute(delete(key_place).where(_place_of(name, job_id)))
            if gone.rowcount == 0:
                raise IllegalTransition(
                    job_id, "let go", "as it holds no key", "the jobs behind it do not wait for it"
                )
            line = step(now, "let go", actor=actor, reason=reason)
            connection.execute(update(job).where(mine).values(way=job.c.way + line))
            return str(row.key)

    # -----------------------------------------------------------------------------------------

    @contextmanager
    def _one_at_a_time(self, keys: set[tuple[str, str]]) -> Iterator[Connection]:
        """A transaction that no other one of these keys runs beside; SQLite has one writer."""
        with self._db.write() as connection:
            if self._db.is_postgresql:
                # In order, so that two who need several cannot wait for each other.
                for number in sorted(lock_of(*key) for key in keys):
                    connection.execute(_LOCK, {"key": number})
            yield connection

    @cached_property
    def _entering(self) -> Any:
        insert: Any = self._db.insert
        return insert(key_place).on_conflict_do_nothing(index_elements=["name", "job_id"])

    def _enter(self, connection: Connection, *places: Place) -> None:
        """Take places, in this order; one call of the driver for all of them."""
        rows = [
            {
                "name": place.name,
                "key": place.key,
                "job_id": place.job_id,
                "on_failure": place.on_failure,
                "waits": False,
            }
            for place in places
        ]
        if rows:
            connection.execute(self._entering, rows)

    def _settled_first(self, connection: Connection, name: str, key: str) -> Any:
        """The first place of a key, once those of jobs that have their outcome are given up."""
        while True:
            first = connection.execute(_first(name, key)).first()
            if first is None:
                return None
            state = connection.execute(
                select(job.c.state).where(job.c.name == name, job.c.job_id == first.job_id)
            ).scalar_one_or_none()
            known = None if state is None else JobState(state)
            if not gives_up(known, OnFailure(first.on_failure)):
                return first
            connection.execute(delete(key_place).where(key_place.c.id == first.id))


def _first(name: str, key: str) -> Any:
    return (
        select(key_place)
        .where(key_place.c.name == name, key_place.c.key == key)
        .order_by(key_place.c.id)
        .limit(1)
    )


def _place_of(name: str, job_id: str) -> Any:
    return and_(key_place.c.name == name, key_place.c.job_id == job_id)


def _due_of(place: Place) -> Any:
    """The job's own earliest time, kept until it waits no longer."""
    own = select(job.c.not_before).where(job.c.name == place.name, job.c.job_id == place.job_id)
    due = own.scalar_subquery()
    return case((due == NEVER, null()), else_=due)


def _no_longer_waits(connection: Connection, name: str, job_id: str) -> None:
    due = connection.execute(
        update(key_place)
        .where(_place_of(name, job_id), key_place.c.waits)
        .values(waits=False)
        .returning(key_place.c.due)
    ).first()
    if due is not None:
        connection.execute(
            update(job)
            .where(job.c.name == name, job.c.job_id == job_id, job.c.not_before == NEVER)
            .values(not_before=due.due)
        )
