"""Places of keys by the short lane: asked before a start and given up behind an outcome.

Both are on the way of every job with an order, and almost always nobody waits: the job is the first
of its key, and when it is over no job of the key has come too early. One statement each says so;
whatever else there is, is judged by the transactions in `order_rows.py`.
"""

from functools import cached_property
from typing import Protocol

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select
from xxhash import xxh3_64_intdigest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.lane import OnLane
from rollout.adapters.sql.lane_sessions import LaneSession
from rollout.adapters.sql.lane_statements import called, run_patiently
from rollout.adapters.sql.order_tables import key_place
from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.jobs.order import OnFailure

HAS_ENDED = or_(
    *(job.c.state == state for state in JobState if state.finished and state != JobState.FAILED),
    and_(job.c.state == JobState.FAILED, key_place.c.on_failure == OnFailure.SKIP),
)
"""`jobs.order.gives_up` as a condition, of a job that is there; a contract test holds the two, and
the function of migration 0018, together."""


def lock_of(name: str, key: str) -> int:
    """Number of a key's advisory lock on PostgreSQL; SQLite has one writer."""
    return xxh3_64_intdigest(f"rollout/order/{name}\x1f{key}".encode()) - 2**63


class OrderLane(OnLane):
    """Says whether a job may start, and gives its place up, where nothing is in the way."""

    def is_first(self, name: str, key: str, job_id: str) -> bool:
        """Whether the job is the first of its key; False when there is something to judge."""
        return bool(self._run(lambda session: self._places.is_first(session, name, key, job_id)))

    def leave(self, name: str, key: str) -> bool:
        """Give up the first place of a key, whose job is over, and behind which nobody waits.

        False when there is something to judge.
        """
        return bool(self._run(lambda session: self._places.leave(session, name, key)))

    @cached_property
    def _places(self) -> "PlaceStatements":
        if self._db.is_postgresql:
            return PostgresqlPlaces(self._db)
        return SqlitePlaces(self._db)


class PlaceStatements(Protocol):
    """The two on one kind of database."""

    def is_first(self, session: LaneSession, name: str, key: str, job_id: str) -> bool:
        """See `OrderLane.is_first`."""
        ...

    def leave(self, session: LaneSession, name: str, key: str) -> bool:
        """See `OrderLane.leave`."""
        ...


class SqlitePlaces:
    """A SELECT and a DELETE; the single writer is the key's lock."""

    def __init__(self, database: Database) -> None:
        dialect = database.lane.engine.dialect
        of_key = (key_place.c.name == bindparam("b_name"), key_place.c.key == bindparam("b_key"))
        first = select(key_place.c.job_id, key_place.c.waits).where(*of_key)
        self._first = Statement(first.order_by(key_place.c.id).limit(1), dialect)
        any_of_key = key_place.alias()
        same = (any_of_key.c.name == bindparam("b_name"), any_of_key.c.key == bindparam("b_key"))
        first_id = select(func.min(any_of_key.c.id)).where(*same).scalar_subquery()
        is_over = (
            exists()
            .where(job.c.name == key_place.c.name, job.c.job_id == key_place.c.job_id, HAS_ENDED)
            .correlate(key_place)
        )
        somebody_waits = exists().where(*same, any_of_key.c.waits)
        self._leave = Statement(
            delete(key_place).where(key_place.c.id == first_id, is_over, ~somebody_waits), dialect
        )

    def is_first(self, session: LaneSession, name: str, key: str, job_id: str) -> bool:
        """See `OrderLane.is_first`."""
        run_patiently(session.cursor, self._first, {"b_name": name, "b_key": key})
        rows = session.cursor.fetchall()
        return bool(rows) and tuple(rows[0]) == (job_id, False)

    def leave(self, session: LaneSession, name: str, key: str) -> bool:
        """See `OrderLane.leave`."""
        run_patiently(session.cursor, self._leave, {"b_name": name, "b_key": key})
        return bool(session.cursor.rowcount == 1)


class PostgresqlPlaces:
    """A call of a function each, planned once a session (migration 0018).

    Giving up takes the key's lock, so that one that is just being put to wait is not missed, and
    does not wait for the disk.
    """

    def __init__(self, database: Database) -> None:
        where = "" if database.schema is None else f'"{database.schema}".'
        self._first = f"SELECT {where}rollout_is_first(%(name)s, %(key)s, %(job_id)s)"
        self._leave = f"SELECT {where}rollout_leave(%(name)s, %(key)s, %(lock)s)"

    def is_first(self, session: LaneSession, name: str, key: str, job_id: str) -> bool:
        """See `OrderLane.is_first`."""
        return bool(called(session, self._first, {"name": name, "key": key, "job_id": job_id}))

    def leave(self, session: LaneSession, name: str, key: str) -> bool:
        """See `OrderLane.leave`."""
        values = {"name": name, "key": key, "lock": lock_of(name, key)}
        return bool(called(session, self._leave, values))
