"""Connections and transactions: lazy, safe after a fork, the same on SQLite and PostgreSQL.

On SQLite a writing transaction takes the single writer's lock when it begins, so that it never
has to upgrade a read (which SQLite may refuse at once). On PostgreSQL it is an ordinary
transaction, and the fence is an advisory lock.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rollout.core.errors import LedgerNotMigrated, LedgerUnreachable, WrongSettings

BUSY_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 3
_NOTICE_A_CUT = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""libpq's own means (s, s, times, ms) to notice within seconds that packets go nowhere."""


class Database:
    """One database URL and the engine of this process.

    Args:
        url: SQLAlchemy URL, `sqlite:///file` or `postgresql+psycopg://...`.

    Raises:
        WrongSettings: The URL is none, or names another kind of database.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self._engine: Engine | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return self._url.render_as_string(hide_password=True)

    @property
    def is_postgresql(self) -> bool:
        """Whether the fence is an advisory lock (PostgreSQL) or the single writer (SQLite)."""
        return self._url.get_backend_name() == "postgresql"

    @property
    def engine(self) -> Engine:
        """The engine of this process; a forked child gets its own and leaves the parent's alone."""
        if self._engine is None or self._pid != os.getpid():
            if self._engine is not None:
                self._engine.dispose(close=False)
            try:
                self._engine = self._open()
            except (ImportError, NoSuchModuleError) as error:  # its driver is not installed
                raise LedgerUnreachable(self.url, error) from error
            self._pid = os.getpid()
        return self._engine

    def close(self) -> None:
        """Close all connections of this process."""
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()
        self._engine = None

    def _open(self) -> Engine:
        if self.is_postgresql:
            return create_engine(
                self._url,
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S, **_NOTICE_A_CUT},
                pool_size=5,
                max_overflow=20,
                pool_timeout=BUSY_TIMEOUT_S,
                # A round trip a transaction, so that a database that was restarted costs the
                # next job nothing: a kept connection that died would send it to legacy.
                pool_pre_ping=True,
                # The fence is read after its lock is taken. With a snapshot from the start of the
                # transaction (a default that an administrator may set) a commit would not see the
                # kill it has just waited for.
                isolation_level="READ COMMITTED",
            )
        engine = create_engine(self._url, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a writing transaction; it commits when the block ends without an exception."""
        with self.translated(), self.engine.connect() as connection:
            connection = connection.execution_options(rollout_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a reading transaction."""
        with self.translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises for an absent database into LedgerUnreachable."""
        try:
            yield
        except PoolTimeout as error:
            raise LedgerUnreachable(self.url, error) from error
        except (IntegrityError, DataError):
            raise  # the database answered, and says no to this value
        except DBAPIError as error:
            if _lacks_table(error):
                raise LedgerNotMigrated(self.url, None, "head") from error
            # Also read-only after a failover, or without a privilege: nothing can be recorded.
            raise LedgerUnreachable(self.url, _cause(error)) from error


class LazyTransaction:
    """A writing transaction that begins at its first use.

    A commit hook that calls an outside service must not hold the single writer's lock of SQLite,
    nor a PostgreSQL connection, while it waits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    @property
    def begun(self) -> bool:
        """Whether a connection is open."""
        return self._connection is not None

    @property
    def broken(self) -> bool:
        """Whether the database went away under the transaction."""
        return self._connection is not None and self._connection.invalidated

    def connection(self) -> Connection:
        """The connection, its transaction begun."""
        if self._connection is None:
            with self._database.translated():
                connection = self._database.engine.connect()
                self._connection = connection.execution_options(rollout_write=True)
                self._connection.begin()
        return self._connection

    def commit(self) -> None:
        """Make everything durable."""
        assert self._connection is not None, "commit follows the fence check on this connection"
        self._connection.commit()

    def close(self) -> None:
        """Give the connection back, rolling back what was not committed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
        known = parsed.get_backend_name() in ("sqlite", "postgresql")
    except ArgumentError:
        known = False
    if not known:
        raise WrongSettings(
            "the ledger must be sqlite:///file or postgresql+psycopg://..., got a URL that begins "
            f"with {url.split(':', 1)[0][:40]!r}",
            "correct ROLLOUT_LEDGER_URL",
        )
    return parsed


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver's own transaction handling is off: `_begin_sqlite` says how to begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A killed process loses nothing with NORMAL; a power cut may lose the last commits. Use
    # PostgreSQL where that matters (docs/decisions/0005).
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("rollout_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def is_wrong_sql(error: DBAPIError) -> bool:
    """Whether SQLite reports a mistake in a statement, which it does as an OperationalError."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _lacks_table(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or type(error.orig).__name__ == "UndefinedTable"


def _cause(error: DBAPIError) -> Exception:
    return error.orig if isinstance(error.orig, Exception) else error


def ping(database: Database) -> None:
    """Ask the database for an answer. Raises LedgerUnreachable."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
