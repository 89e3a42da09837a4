"""Places of keys by the short lane: asked before a start and given up behind an outcome.

Both are on the way of every job with an order, and almost always nobody waits: the job is the first
of its key, and when it is over no job of the key has come too early. One statement each says so;
whatever else there is, is judged by the transactions in `order_rows.py`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select
from xxhash import xxh3_64_intdigest

from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.lane import OnLane
from rollout.adapters.sql.lane_sessions import LaneSession
from rollout.adapters.sql.lane_statements import run_patiently, send
from rollout.adapters.sql.order_tables import key_place
from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.jobs.order import OnFailure

HAS_ENDED = or_(
    *(job.c.state == state for state in JobState if state.finished and state != JobState.FAILED),
    and_(job.c.state == JobState.FAILED, key_place.c.on_failure == OnFailure.SKIP),
)
"""`jobs.order.gives_up` as a condition, of a job that is there; a contract test holds the two."""
_of_key = (key_place.c.name == bindparam("b_name"), key_place.c.key == bindparam("b_key"))


def lock_of(name: str, key: str) -> int:
    """Number of a key's advisory lock on PostgreSQL; SQLite has one writer."""
    return xxh3_64_intdigest(f"rollout/order/{name}\x1f{key}".encode()) - 2**63


@dataclass(frozen=True, slots=True)
class _Statements:
    first: Statement
    leave: Statement


class OrderLane(OnLane):
    """Says whether a job may start, and gives its place up, where nothing is in the way."""

    def is_first(self, name: str, key: str, job_id: str) -> bool:
        """Whether the job is the first of its key; False when there is something to judge."""
        values = {"b_name": name, "b_key": key}

        def ask(session: LaneSession) -> bool:
            self._send(session, self._places.first, values)
            rows = session.cursor.fetchall()
            return bool(rows) and tuple(rows[0]) == (job_id, False)

        return bool(self._run(ask))

    def leave(self, name: str, key: str) -> bool:
        """Give up the first place of a key, whose job is over, and behind which nobody waits.

        False when there is something to judge.
        """
        values = {"b_name": name, "b_key": key}

        def give_up(session: LaneSession) -> bool:
            self._send(session, self._places.leave, values)
            return bool(session.cursor.rowcount == 1)

        return bool(self._run(give_up))

    def _send(self, session: LaneSession, statement: Statement, values: dict[str, Any]) -> None:
        """Carry one message out; its last answer is the statement's."""
        if not self._db.is_postgresql:
            run_patiently(session.cursor, statement, values)
            return
        key = lock_of(values["b_name"], values["b_key"])
        send(session, statement.sql, {**statement.constants, **values, "key": key})

    @cached_property
    def _places(self) -> _Statements:
        dialect = self._db.lane.engine.dialect
        first = (
            select(key_place.c.job_id, key_place.c.waits)
            .where(*_of_key)
            .order_by(key_place.c.id)
            .limit(1)
        )
        any_of_key = key_place.alias()
        same = (any_of_key.c.name == bindparam("b_name"), any_of_key.c.key == bindparam("b_key"))
        first_id = select(func.min(any_of_key.c.id)).where(*same).scalar_subquery()
        is_over = (
            exists()
            .where(job.c.name == key_place.c.name, job.c.job_id == key_place.c.job_id, HAS_ENDED)
            .correlate(key_place)
        )
        somebody_waits = exists().where(*same, any_of_key.c.waits)
        leave = Statement(
            delete(key_place).where(key_place.c.id == first_id, is_over, ~somebody_waits), dialect
        )
        if self._db.is_postgresql:
            # Under the key's lock, so that one that is just being put to wait is not missed.
            leave.sql = f"SELECT pg_advisory_xact_lock(%(key)s); {leave.sql}"
        return _Statements(Statement(first, dialect), leave)
