"""The short lane: a job's three statements, each a transaction and a round trip of its own.

On SQLite a transaction around one statement costs several times that statement; on PostgreSQL each
BEGIN, lock, SELECT and COMMIT is a round trip. So file, claim and commit are first tried here, on
connections that are in no transaction. The lane only ever says yes. Where a statement changes no
row, or no connection is free, the caller goes the long way, which judges and says why.

On PostgreSQL one message of the simple protocol carries the lock of the fence, the check and the
change: the server begins when it has the whole message, and ends the transaction by itself. So a
link that is cut holds no fence, nothing is prepared, and nothing of a session is relied on
(decision 0027).
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy.exc import TimeoutError as PoolTimeout

from rollout.adapters.sql import single_writer
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import Statement, as_database_error
from rollout.adapters.sql.job_values import commit_values, new_row
from rollout.adapters.sql.lane_statements import LaneStatements
from rollout.adapters.sql.sessions import POOLED
from rollout.adapters.sql.tables import to_microseconds
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Filing
from rollout.jobs.way import step_of_any_attempt
from rollout.routing.decision import JobPath

_T = TypeVar("_T")


class Lane:
    """Files, claims and commits where nothing is in the way. Raises what SQLAlchemy would.

    Args:
        database: Whose lane.
        own_clock: See `LaneStatements`.
    """

    def __init__(self, database: Database, *, own_clock: bool) -> None:
        self._db = database
        self._own_clock = own_clock
        self._made: dict[bool, LaneStatements] = {}

    def _statements(self, *, lent: bool) -> LaneStatements:
        made = self._made.get(lent)
        if made is None:
            made = LaneStatements(self._db, own_clock=self._own_clock, lent=lent)
            self._made[lent] = made
        return made

    def file(self, filing: Filing) -> bool:
        """Record an accepted job; False when there is something to judge."""
        return bool(
            self._run(lambda cursor, ours: self._changed(cursor, ours.file, new_row(filing)))
        )

    def claim(
        self, name: str, job_id: str, delivered: JobPath, worker: str, now: Any
    ) -> Claim | None:
        """Claim a job that waits; None when there is something to judge."""
        nonce = uuid4().hex
        before, after = step_of_any_attempt(now, "started", path=delivered, worker=worker)
        values = {
            "b_name": name,
            "b_job_id": job_id,
            "b_path": delivered,
            "b_worker": worker,
            "b_nonce": nonce,
            "b_now": to_microseconds(now),
            "b_before": before,
            "b_after": after,
        }

        def claim(cursor: Any, ours: LaneStatements) -> Any:
            which = ours.claim_legacy
            if delivered is JobPath.CONCURRENT:
                which = ours.claim_concurrent
                values.update(ours.fence(name))
            self._execute(cursor, which, values)
            return cursor.fetchall()

        rows = self._run(claim)
        if not rows:
            return None
        ((attempt, fence_revision, fallback),) = rows
        return Claim(job_id, name, delivered, attempt, fence_revision, fallback is not None, nonce)

    def commit(self, claim: Claim, result: str, now: Any, *, fenced: bool) -> bool:
        """Commit what an attempt has made; False when there is something to judge."""
        values = {**commit_values(claim, result, now), "b_nonce": claim.nonce}
        if fenced:
            values |= {"b_fence": claim.fence_revision, **LaneStatements.fence(claim.name)}

        def commit(cursor: Any, ours: LaneStatements) -> bool:
            return self._changed(cursor, ours.commit_fenced if fenced else ours.commit_free, values)

        return bool(self._run(commit))

    def _changed(self, cursor: Any, statement: Statement, values: dict[str, Any]) -> bool:
        self._execute(cursor, statement, values)
        return bool(cursor.rowcount == 1)

    def _execute(self, cursor: Any, statement: Statement, values: dict[str, Any]) -> None:
        if self._db.is_postgresql:
            statement.run(cursor, values)
            while cursor.nextset():  # the answer to the last statement of the message
                pass
            return
        until = time.monotonic() + single_writer.BUSY_TIMEOUT_S
        while True:  # as `begin_immediate` waits, for the same reason
            try:
                statement.run(cursor, values)
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(single_writer.BUSY_PAUSE_S)

    def _run(self, act: Callable[[Any, LaneStatements], _T]) -> _T | None:
        """Act on a cursor of the lane; None when all its connections are taken."""
        if not self._db.has_lane:
            return None
        try:
            with self._cursor() as (cursor, lent):
                return act(cursor, self._statements(lent=lent))
        except PoolTimeout:
            return None

    @contextmanager
    def _cursor(self) -> Iterator[tuple[Any, bool]]:
        engine, pooled = self._db.lane, None
        try:
            pooled = engine.raw_connection()
            yield pooled.cursor(), POOLED in pooled.info
        except PoolTimeout:
            raise
        except BaseException as error:
            connection = None if pooled is None else pooled.dbapi_connection
            database_error, gone = as_database_error(error, engine, connection)
            if pooled is not None and (gone or database_error is None):
                # Gone, or stopped in the middle of an answer.
                pooled.invalidate(error if isinstance(error, Exception) else None)
            if gone:
                self._db.drop_idle()
            if database_error is not None:
                raise database_error from error
            raise
        finally:
            if pooled is not None:
                pooled.close()
