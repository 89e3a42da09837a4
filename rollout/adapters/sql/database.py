"""Connections and transactions: lazy, safe after a fork, the same on SQLite and PostgreSQL.

On SQLite a writing transaction takes the single writer's lock when it begins, so that it never
has to upgrade a read (which SQLite may refuse at once). On PostgreSQL it is an ordinary
transaction, and the fence is an advisory lock.
"""

import os
import select
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rollout.adapters.sql.hook_connection import note_error
from rollout.adapters.sql.waits import (
    LOOK_AFTER_S,
    OUR_NAME,
    TIMED_OUT,
    Lookout,
    bound,
    bound_session,
)
from rollout.adapters.sql.words import ASCII_ONLY, UTF8
from rollout.errors import (
    LedgerBusy,
    LedgerNotFound,
    LedgerNotMigrated,
    LedgerUnreachable,
    WrongSettings,
)
from rollout.routing.ports import Waiting

BUSY_TIMEOUT_S = 5
BUSY_PAUSE_S = 0.0005
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
        self._may_begin = False
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

    def begin_file(self) -> None:
        """Allow a file of SQLite, and its folder, to be made: a migration begins a ledger."""
        self._may_begin = True
        file = self._file
        if file is not None:
            # A folder that cannot be made is a ledger that does not answer at its first use.
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def exists(self) -> bool:
        """Whether there is something to ask; always true of a server."""
        return self._file is None or self._file.exists()

    @property
    def _file(self) -> Path | None:
        name = self._url.database
        if self.is_postgresql or not name or name == ":memory:":
            return None
        return Path(name)

    @property
    def insert(self) -> Any:
        """`insert` of the dialect, which knows ON CONFLICT; the other's is not even loaded."""
        if self.is_postgresql:
            from sqlalchemy.dialects.postgresql import insert as postgresql_insert

            return postgresql_insert
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert

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
        """Open the engine; its errors name no values, which are the jobs' and end in logs."""
        if self.is_postgresql:
            own = {"connect_timeout": CONNECT_TIMEOUT_S, "fallback_application_name": OUR_NAME}
            # Whatever the database's own: else psycopg gives bytes for text, and SQLAlchemy fails.
            own["client_encoding"] = "UTF8"
            engine = create_engine(
                self._url,
                connect_args={**own, **_NOTICE_A_CUT},
                pool_size=5,
                max_overflow=20,
                pool_timeout=BUSY_TIMEOUT_S,
                # The fence is read after its lock is taken. With a snapshot from the start of the
                # transaction (a default that an administrator may set) a commit would not see the
                # kill it has just waited for.
                isolation_level="READ COMMITTED",
                hide_parameters=True,
            )
            event.listen(engine, "connect", _prepare_postgresql(engine))
            event.listen(engine, "checkout", _drop_if_cut)
            event.listen(engine, "handle_error", note_error)
            return engine
        if not self._may_begin and not self.exists:
            raise LedgerNotFound(self.url)
        engine = create_engine(
            self._url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", note_error)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a writing transaction; it commits when the block ends without an exception."""
        with self.translated(), self.engine.connect() as connection:
            connection = connection.execution_options(rollout_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def write_soon(self, patience_s: float, waiting: Waiting | None) -> Iterator[Connection]:
        """Open a writing transaction that waits for nobody longer than `patience_s`, in all steps.

        Args:
            patience_s: Bound of each statement; on SQLite of the wait for the single writer.
            waiting: Told, once and after a moment, who is in the way.

        Raises:
            LedgerBusy: Somebody held what it needs for longer; who, where that can be told.
        """
        if not self.is_postgresql:
            options = {"rollout_write": True, "rollout_wait": (patience_s, waiting)}
            with self.translated(), self.engine.connect() as connection:
                connection = connection.execution_options(**options)
                with connection.begin():
                    yield connection
            return
        lookout: Lookout | None = None
        try:
            with self.translated(), self.engine.connect() as connection, connection.begin():
                bound(connection, patience_s)
                driver: Any = connection.connection.driver_connection
                lookout = Lookout(self.engine, driver.info.backend_pid, waiting)
                with lookout:
                    yield connection
        except LedgerBusy as error:
            if lookout is None or not lookout.blockers:
                raise
            raise LedgerBusy(self.url, error.cause, lookout.blockers) from error

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
            if _kept_waiting(error):
                raise LedgerBusy(self.url, _cause(error)) from error
            # Also read-only after a failover, or without a privilege: nothing can be recorded.
            raise LedgerUnreachable(self.url, _cause(error)) from error


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


def _drop_if_cut(connection: Any, record: object, proxy: object) -> None:
    """Replace a kept connection of PostgreSQL that died: it would send the next job to legacy.

    A server that stopped or ended the session has closed the socket, so there is something to
    read where nothing is awaited. Looking takes microseconds; SQLAlchemy's `pool_pre_ping` would
    find the same by a round trip in each of a job's three transactions.
    """
    looker = select.poll()
    looker.register(connection.fileno(), select.POLLIN)
    if looker.poll(0):
        raise DisconnectionError("the server closed the connection while it was idle")


def _prepare_postgresql(engine: Engine) -> Callable[[Any, object], None]:
    def prepare(connection: Any, record: object) -> None:
        bound_session(connection)
        encoding = connection.info.parameter_status("server_encoding")
        setattr(engine.dialect, ASCII_ONLY, encoding != UTF8)

    return prepare


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


def as_sqlalchemy(error: Exception, dialect: Any, *, gone: bool = False) -> Exception:
    """The exception that SQLAlchemy would have made of the driver's; `gone` with its connection."""
    made: Exception = DBAPIError.instance(
        None,
        None,
        error,
        dialect.loaded_dbapi.Error,
        connection_invalidated=gone,
        dialect=dialect,
    )
    return made


def is_wrong_sql(error: DBAPIError) -> bool:
    """Whether SQLite reports a mistake in a statement, which it does as an OperationalError."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _lacks_table(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or type(error.orig).__name__ == "UndefinedTable"


def _kept_waiting(error: DBAPIError) -> bool:
    """Whether the database answers and only somebody else's lock is in the way."""
    if getattr(error.orig, "sqlstate", None) in TIMED_OUT:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _cause(error: DBAPIError) -> Exception:
    return error.orig if isinstance(error.orig, Exception) else error


def ping(database: Database) -> None:
    """Ask the database for an answer. Raises LedgerUnreachable."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
