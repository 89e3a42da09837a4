"""The short lane: a job's three statements, each a transaction and a round trip of its own.

On SQLite a transaction around one statement costs several times that statement; on PostgreSQL each
BEGIN, lock, SELECT and COMMIT is a round trip. So file, claim and commit are first tried here, on
sessions that are in no transaction. The lane only ever says yes. Where a statement changes no row,
or no session is free, the caller goes the long way, which judges and says why.

On PostgreSQL one message of the simple protocol calls one function, which takes the fence's lock,
asks and changes: the server begins when it has the whole message, and ends the transaction by
itself. So a link that is cut holds no fence, the server plans once a session, nothing is prepared,
and nothing of a session is relied on (decision 0027).
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TypeVar
from uuid import uuid4

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import as_database_error
from rollout.adapters.sql.job_values import commit_values, new_row
from rollout.adapters.sql.lane_sessions import LaneSession, LaneSessions
from rollout.adapters.sql.lane_statements import Granted, LaneStatements, lane_statements
from rollout.adapters.sql.tables import to_microseconds
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Filing
from rollout.jobs.way import step_of_any_attempt
from rollout.log import log
from rollout.routing.decision import JobPath

_T = TypeVar("_T")
_NOT_TAKEN = ("42",)
"""Beginning of the SQL states of a function that is not there, is not ours to call, or fails."""
_CLOSED_S = 60
"""So long is the lane closed then; a ledger may be migrated meanwhile."""


class OnLane:
    """Acts on sessions of the lane while it is open. Raises what SQLAlchemy would."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._closed_until = 0.0

    def _run(self, act: Callable[[LaneSession], _T]) -> _T | None:
        """Act on a session of the lane; None when it is closed, or all its sessions are taken."""
        if not self._db.has_lane or time.monotonic() < self._closed_until:
            return None
        sessions, session = self._db.lane, None
        try:
            session = sessions.take()
            answer = None if session is None else act(session)
        except BaseException as error:
            self._stopped_by(error, sessions, session)
            return None
        if session is not None:
            sessions.give_back(session)
        return answer

    def _stopped_by(
        self, error: BaseException, sessions: LaneSessions, session: LaneSession | None
    ) -> None:
        """Give up a session that is not whole; raise the error, unless the long way can do."""
        connection = None if session is None else session.connection
        database_error, gone = as_database_error(error, sessions.engine, connection)
        if session is not None:
            if gone or database_error is None:  # gone, or stopped in the middle of an answer
                sessions.give_up(session, error)
            else:
                sessions.give_back(session)
        if gone:
            self._db.drop_idle()
        if database_error is None:
            raise error
        state = getattr(error, "sqlstate", None) or ""
        if session is None or not state.startswith(_NOT_TAKEN):
            raise database_error from error
        self._closed_until = time.monotonic() + _CLOSED_S
        log.warning("jobs go the long way: the short one is not there", why=str(error))


class Lane(OnLane):
    """Files, claims and commits where nothing is in the way.

    Args:
        database: Whose lane.
        own_clock: See `lane_statements`.
    """

    def __init__(self, database: Database, *, own_clock: bool) -> None:
        super().__init__(database)
        self._own_clock = own_clock

    @cached_property
    def _statements(self) -> LaneStatements:
        return lane_statements(self._db, own_clock=self._own_clock)

    def file(self, filing: Filing) -> bool:
        """Record an accepted job; False when there is something to judge."""
        values = new_row(filing)
        return bool(self._run(lambda session: self._statements.file(session, values)))

    def claim(
        self, name: str, job_id: str, delivered: JobPath, worker: str, now: datetime
    ) -> Claim | None:
        """Claim a job that waits; None when there is something to judge."""
        nonce = uuid4().hex
        before, after = step_of_any_attempt(now, "started", path=delivered, worker=worker)
        values = {
            "b_name": name,
            "b_job_id": job_id,
            "b_path": delivered.value,
            "b_worker": worker,
            "b_nonce": nonce,
            "b_now": to_microseconds(now),
            "b_before": before,
            "b_after": after,
        }
        fenced = delivered is JobPath.CONCURRENT

        def claim(session: LaneSession) -> Granted | None:
            return self._statements.claim(session, values, fenced=fenced)

        granted = self._run(claim)
        if granted is None:
            return None
        attempt, fence_revision, fell_back = granted
        return Claim(job_id, name, delivered, attempt, fence_revision, fell_back, nonce)

    def commit(self, claim: Claim, result: str, now: datetime, *, fenced: bool) -> bool:
        """Commit what an attempt has made; False when there is something to judge."""
        values = {
            **commit_values(claim, result, now),
            "b_nonce": claim.nonce,
            "b_fence": claim.fence_revision,
        }
        return bool(
            self._run(lambda session: self._statements.commit(session, values, fenced=fenced))
        )
