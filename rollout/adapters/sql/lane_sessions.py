"""Connections of the short lane: in no transaction but that of one statement; see `lane.py`."""

import sqlite3
from typing import Any

LANE: dict[str, Any] = {
    "isolation_level": "AUTOCOMMIT",
    # So many in a process; threads beyond them go the long way, after a little patience: a
    # statement of the lane takes a few milliseconds.
    "pool_size": 5,
    "max_overflow": 0,
    "pool_timeout": 0.05,
    "pool_reset_on_return": None,  # there is no transaction to end
}
"""Options of their engine."""


def prepare_lane(connection: Any, record: object) -> None:
    """Prepare a new connection of the lane."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA busy_timeout=0").close()  # the lane waits by itself
        return
    from psycopg import ClientCursor

    connection.cursor_factory = ClientCursor  # several statements in one message
