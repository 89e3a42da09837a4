"""Resources by the short lane: what has ended is cleared away, and whether anybody waits is asked.

Almost always nobody does, and then there is nobody to call: two statements behind each outcome.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.sql import ClauseElement

from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.lane import OnLane
from rollout.adapters.sql.lane_sessions import LaneSession
from rollout.adapters.sql.lane_statements import run_patiently, send
from rollout.adapters.sql.resource_statements import HOLDS, RUNS, lock_key
from rollout.adapters.sql.resource_tables import resource_use

_LOCK = "SELECT pg_advisory_xact_lock(%(key)s); "


class ResourceLane(OnLane):
    """Says that nobody waits for a resource."""

    def nobody_waits(self, resources: Iterable[str]) -> bool:
        """Whether nobody waits for any of these; False when it has to be looked at closer.

        Asked behind an outcome: one that is put to rest beside it has seen that, or is seen here.
        On SQLite because both write, on PostgreSQL because both take the resource's lock.
        """
        return all(
            self._run(lambda session, one=one: self._ask(session, one))  # type: ignore[misc]  # bound now
            for one in resources
        )

    def _ask(self, session: LaneSession, resource: str) -> bool:
        cursor, values = session.cursor, {"b_resource": resource}
        if not self._db.is_postgresql:
            run_patiently(cursor, self._clear, values)
            run_patiently(cursor, self._waiting, values)
            return cursor.fetchone() is None
        words = f"{_LOCK}{self._clear.sql}; {self._waiting.sql}"
        given = {**values, **self._constants, "key": lock_key(resource)}
        return send(session, words, given).fetchone() is None

    @cached_property
    def _constants(self) -> Mapping[str, Any]:
        """Both statements' own; they name none of them alike."""
        assert not set(self._clear.constants) & set(self._waiting.constants)
        return {**self._clear.constants, **self._waiting.constants}

    @cached_property
    def _clear(self) -> Statement:
        of_it = resource_use.c.resource == bindparam("b_resource")
        return self._compiled(delete(resource_use).where(of_it, HOLDS, ~RUNS))

    @cached_property
    def _waiting(self) -> Statement:
        of_it = resource_use.c.resource == bindparam("b_resource")
        waits = and_(of_it, resource_use.c.nonce.is_(None))
        return self._compiled(select(resource_use.c.id).where(waits).limit(1))

    def _compiled(self, clause: ClauseElement) -> Statement:
        return Statement(clause, self._db.lane.engine.dialect)
