"""Sessions of PostgreSQL: our own for good, or lent by a pooler for one transaction each.

pgbouncer in transaction pooling gives each transaction whichever server session is free. So nothing
of a session may outlive its transaction there: no statement that psycopg has prepared by name
(another client's may have it), no SET but SET LOCAL. Whether somebody stands between is told by the
number of the server process: a pooler gives its clients one of its own making, and the server knows
better. Behind one, the bounds of `waits` are set in each transaction, one round trip; a session of
our own has them for good.

Source: https://www.pgbouncer.org/features.html (what transaction pooling takes away).
"""

import select
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError

from rollout.adapters.sql.waits import LOCAL_BOUNDS, bound_session
from rollout.adapters.sql.words import ASCII_ONLY, UTF8

POOLED = "rollout_pooled"
"""Key in the pool's `info` of a connection: its `application_name` when a pooler lends sessions."""


def watch_sessions(engine: Engine, *, keep_threshold: bool) -> None:
    """Prepare each new connection of the engine, and each transaction that a pooler carries.

    Args:
        engine: Of psycopg.
        keep_threshold: The URL says how psycopg is to prepare statements; leave it at that.
    """
    event.listen(engine, "connect", _prepare(engine, keep_threshold=keep_threshold))
    event.listen(engine, "checkout", _drop_if_cut)
    event.listen(engine, "begin", _bound_lent)


def _prepare(engine: Engine, *, keep_threshold: bool) -> Callable[[Any, Any], None]:
    def prepare(connection: Any, record: Any) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        setattr(engine.dialect, ASCII_ONLY, encoding != UTF8)
        if not _is_lent(connection):
            bound_session(connection)
            return
        if not keep_threshold:
            connection.prepare_threshold = None
        record.info[POOLED] = connection.info.parameter_status("application_name") or ""

    return prepare


def _is_lent(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    connection.rollback()
    return bool(process != connection.info.backend_pid)


def _bound_lent(connection: Connection) -> None:
    if POOLED in connection.info:
        connection.exec_driver_sql(LOCAL_BOUNDS)


def bound_cursor(pooled: Any, cursor: Any) -> None:
    """The same for a transaction that begins on the driver's cursor; `pooled` is its connection."""
    if POOLED in pooled.info:
        cursor.execute(LOCAL_BOUNDS)


def _drop_if_cut(connection: Any, record: object, proxy: object) -> None:
    """Replace a kept connection that died: it would send the next job to legacy."""
    if is_cut(connection):
        raise DisconnectionError("the server closed the connection while it was idle")


def is_cut(connection: Any) -> bool:
    """Whether the server has closed an idle connection of psycopg.

    A server that stopped or ended the session has closed the socket, so there is something to
    read where nothing is awaited. Looking takes microseconds; SQLAlchemy's `pool_pre_ping` would
    find the same by a round trip in each of a job's three transactions.
    """
    looker = select.poll()
    looker.register(connection.fileno(), select.POLLIN)
    return bool(looker.poll(0))
