"""Sessions of the short lane: in no transaction but that of one statement; see `lane.py`.

A few, each with a cursor that stays open: what SQLAlchemy's pool does around a session at each
loan takes longer than a statement of SQLite. Opening one, and giving up one that broke, is the
pool's all the same.
"""

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any

from sqlalchemy import Engine

from rollout.adapters.sql.sessions import POOLED, is_cut

SESSIONS_MAX = 5
"""So many in a process; threads beyond them go the long way, after a little patience."""
LANE: dict[str, Any] = {
    "isolation_level": "AUTOCOMMIT",
    "pool_size": SESSIONS_MAX,
    "max_overflow": 0,
    "pool_reset_on_return": None,  # there is no transaction to end
}
"""Options of their engine."""
PATIENCE_S = 0.05
"""A statement of the lane takes a few milliseconds."""


@dataclass(slots=True)
class LaneSession:
    """One session.

    Attributes:
        pooled: SQLAlchemy's hold on the driver's connection.
        cursor: The driver's, used again and again.
        lent: A pooler lends the server's session for one transaction each.
    """

    pooled: Any
    cursor: Any
    lent: bool

    @property
    def connection(self) -> Any:
        """The driver's."""
        return self.pooled.dbapi_connection


class LaneSessions:
    """The lane's sessions of this process.

    Args:
        engine: Made with `LANE`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._looks = engine.dialect.name == "postgresql"
        # A place for each, with the session that was left there; the last that was used is next.
        self._places: LifoQueue[LaneSession | None] = LifoQueue(SESSIONS_MAX)
        for _ in range(SESSIONS_MAX):
            self._places.put(None)

    def take(self) -> LaneSession | None:
        """Have a session until `give_back` or `give_up`; None while all are taken.

        Raises:
            Exception: What SQLAlchemy raises when there is no database to open one on.
        """
        try:
            session = self._places.get(timeout=PATIENCE_S)
        except Empty:
            return None
        if session is not None:
            if not (self._looks and is_cut(session.connection)):
                return session
            session.pooled.invalidate()
        try:
            return self._open()
        except BaseException:
            self._places.put(None)
            raise

    def _open(self) -> LaneSession:
        pooled = self.engine.raw_connection()
        lent = POOLED in pooled.info
        return LaneSession(pooled, pooled.cursor(), lent)

    def give_back(self, session: LaneSession) -> None:
        """Leave it for the next."""
        self._places.put(session)

    def give_up(self, session: LaneSession, error: BaseException) -> None:
        """Leave a place without a session: this one is gone, or stopped in the middle."""
        try:
            session.pooled.invalidate(error if isinstance(error, Exception) else None)
        finally:
            self._places.put(None)

    def close(self) -> None:
        """Close those that nobody has at the moment."""
        idle: list[LaneSession | None] = []
        with suppress(Empty):
            while True:
                idle.append(self._places.get_nowait())
        for session in idle:
            if session is not None:
                session.pooled.close()
            self._places.put(None)
        self.engine.dispose()


def prepare_lane(connection: Any, record: Any) -> None:
    """Prepare a new connection of the lane: a listener to its pool's `connect`."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA busy_timeout=0").close()  # the lane waits by itself
        return
    from psycopg import ClientCursor

    connection.cursor_factory = ClientCursor  # the simple protocol: one message is one transaction
    if POOLED not in record.info:  # of a lent session nothing may be relied on
        with connection.cursor() as cursor:
            # An administrator may have set another; then the functions grant nothing.
            cursor.execute("SET default_transaction_isolation = 'read committed'")
