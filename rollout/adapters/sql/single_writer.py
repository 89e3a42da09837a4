"""Sessions of SQLite: how they are set up, and how a transaction begins and waits for the writer.

A writing transaction takes the single writer's lock when it begins, so that it never has to upgrade
a read, which SQLite may refuse at once.
"""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection

from rollout.adapters.sql.causes import as_sqlalchemy
from rollout.adapters.sql.waits import LOOK_AFTER_S
from rollout.routing.ports import Waiting

BUSY_TIMEOUT_S = 5
BUSY_PAUSE_S = 0.0005


def prepare_sqlite(connection: Any, record: object) -> None:
    """Set up a new connection: a listener to the engine's `connect`."""
    # The driver's own transaction handling is off: `begin_sqlite` says how to begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A killed process loses nothing with NORMAL; a power cut may lose the last commits. Use
    # PostgreSQL where that matters (docs/decisions/0005).
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction as its options say: a listener to the engine's `begin`."""
    options = connection.get_execution_options()
    if not options.get("rollout_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    try:
        begin_immediate(connection.connection.cursor(), *options.get("rollout_wait", ()))
    except sqlite3.Error as error:
        raise as_sqlalchemy(error, connection.dialect) from error


def begin_immediate(
    cursor: Any, patience_s: float = BUSY_TIMEOUT_S, waiting: Waiting | None = None
) -> None:
    """Begin a writing transaction of SQLite: the single writer's lock is held from here on.

    SQLite's own waiting lengthens its sleeps up to 100 ms, so an unlucky writer (or a kill) stands
    by while others take the lock dozens of times. Our transactions hold it for a fraction of a
    millisecond, so we look again after half of one: with four writers the longest claim and
    commit took 350-570 ms before and 30-80 ms now (ops/bench, loaded machine), one writer as
    before.
    """
    began = time.monotonic()
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                waited_s = time.monotonic() - began
                if not busy or waited_s > patience_s:
                    raise
                if waiting is not None and waited_s > LOOK_AFTER_S:
                    waiting("another process holds the single writer's lock of the database")
                    waiting = None
            time.sleep(BUSY_PAUSE_S)
    finally:
        # Reads wait for nobody in WAL mode but for a recovery; then SQLite's own waiting will do.
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
