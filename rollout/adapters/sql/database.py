"""Connections and transactions: lazy, safe after a fork, the same on SQLite and PostgreSQL.

On SQLite a writing transaction takes the single writer's lock when it begins, so that it never
has to upgrade a read (which SQLite may refuse at once). On PostgreSQL it is an ordinary
transaction, and the fence is an advisory lock.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rollout.adapters.sql.causes import ledger_error
from rollout.adapters.sql.hook_connection import note_error
from rollout.adapters.sql.lane_sessions import LANE, LaneSessions, prepare_lane
from rollout.adapters.sql.names import SCHEMA, TABLES, OurNames, names_beside, names_in
from rollout.adapters.sql.patience import bounded
from rollout.adapters.sql.sessions import POOLED, watch_sessions
from rollout.adapters.sql.single_writer import BUSY_TIMEOUT_S, begin_sqlite, prepare_sqlite
from rollout.adapters.sql.waits import OUR_NAME, Lookout, bound
from rollout.errors import LedgerBusy, LedgerNotFound, LedgerUnreachable, WrongSettings
from rollout.routing.ports import Waiting
from rollout.settings import without_password

CONNECT_TIMEOUT_S = 3
_THRESHOLD = "prepare_threshold"
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
        schema: Schema of PostgreSQL that our tables are in; None is the user's default one.

    Raises:
        WrongSettings: The URL is none, or names another kind of database, or one without schemas.
    """

    def __init__(self, url: str, schema: str | None = None) -> None:
        self._url, self._threshold = _checked(url)
        self.schema = schema
        if schema is not None and not self.is_postgresql:
            raise WrongSettings(
                f"ledger_schema is for PostgreSQL, got {schema!r} with a file of SQLite, which has "
                "no schemas",
                "leave it out: tables whose names the file has already are called rollout_<name>",
            )
        self._may_begin = False
        self._engine: Engine | None = None
        self._hook_engine: Engine | None = None
        self._lane: LaneSessions | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return without_password(self._url.render_as_string(hide_password=True))

    @cached_property
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

    @cached_property
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
        self._leave_parents()
        if self._engine is None:
            self._engine, self._hook_engine = self._opened()
        return self._engine

    @property
    def lane(self) -> LaneSessions:
        """Sessions for statements that are each a transaction of its own (`lane.py`)."""
        self._leave_parents()
        if self._lane is None:
            engine, _ = self._opened(**LANE)
            event.listen(engine.pool, "connect", prepare_lane)
            self._lane = LaneSessions(engine)
        return self._lane

    @cached_property
    def has_lane(self) -> bool:
        """Whether a second connection reaches the same database: not in SQLite's memory."""
        return self.is_postgresql or self._file is not None

    def _leave_parents(self) -> None:
        """Leave the connections of the process that this one was forked from alone."""
        if self._pid != os.getpid():
            if self._engine is not None:
                self._engine.dispose(close=False)
            self._engine = self._hook_engine = self._lane = None
            self._pid = os.getpid()

    def _opened(self, **options: Any) -> tuple[Engine, Engine]:
        try:
            return self._open(**options)
        except (ImportError, NoSuchModuleError) as error:  # its driver is not installed
            raise LedgerUnreachable(self.url, error) from error

    def drop_idle(self) -> None:
        """Close what is idle: a restarted database has cut the pools' other connections, too."""
        if self._engine is not None:
            self._engine.dispose()
        if self._lane is not None:
            self._lane.close()

    @property
    def hook_engine(self) -> Engine:
        """The same pool for a user's statements, in which names mean what the user means."""
        _ = self.engine
        assert self._hook_engine is not None, "it is opened with the other"
        return self._hook_engine

    def close(self) -> None:
        """Close all connections of this process."""
        if self._pid == os.getpid():
            self.drop_idle()
        self._engine = self._hook_engine = self._lane = None

    def begin_beside(self) -> None:
        """Let a ledger that begins in a file of SQLite leave the names that are taken alone.

        Raises:
            WrongSettings: The names it would take instead are taken, too.
        """
        if not self.is_postgresql:
            self.close()
            self._names = names_beside(self._file)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {} if self.is_postgresql else names_in(self._file)

    @property
    def named_otherwise(self) -> str:
        """Where our tables are, and what they are called, when that is not as usual; else empty."""
        if self.schema is not None:
            return f"in schema {self.schema}"
        tables = sorted(new for old, new in self._names.items() if old in TABLES)
        return f"with {', '.join(tables)} beside the application's" if tables else ""

    def named(self, table: Table) -> str:
        """A table as it is called in a statement in text."""
        name = self.engine.dialect.identifier_preparer.quote(table.name)
        return name if self.schema is None else f'"{self.schema}".{name}'

    def _open(self, **options: Any) -> tuple[Engine, Engine]:
        """Open the engines; their errors name no values, which are the jobs' and end in logs."""
        if self.is_postgresql:
            own: dict[str, Any] = {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "fallback_application_name": OUR_NAME,
            }
            own.update(self._threshold)
            # Whatever the database's own: else psycopg gives bytes for text, and SQLAlchemy fails.
            own["client_encoding"] = "UTF8"
            usual: dict[str, Any] = {
                "pool_size": 5,
                "max_overflow": 20,
                "pool_timeout": BUSY_TIMEOUT_S,
                # The fence is read after its lock is taken. With a snapshot from the start of the
                # transaction (a default that an administrator may set) a commit would not see the
                # kill it has just waited for.
                "isolation_level": "READ COMMITTED",
                "hide_parameters": True,
            }
            engine = create_engine(
                self._url, connect_args={**own, **_NOTICE_A_CUT}, **{**usual, **options}
            )
            from rollout.adapters.sql.first_answer import bound_first_answers

            bound_first_answers(engine)
            watch_sessions(engine, keep_threshold=bool(self._threshold))
            event.listen(engine, "handle_error", note_error)
            setattr(engine.dialect, SCHEMA, self.schema)
            if self.schema is None:
                return engine, engine
            return engine.execution_options(schema_translate_map={None: self.schema}), engine
        if not self._may_begin and not self.exists:
            raise LedgerNotFound(self.url)
        engine = create_engine(
            self._url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True, **options
        )
        event.listen(engine, "connect", prepare_sqlite)
        engines = (engine, engine)
        if self._names:
            engines = (engine, create_engine(self._url, pool=engine.pool, hide_parameters=True))
            ours = OurNames(engine.dialect)
            ours.names = self._names
            engine.dialect.identifier_preparer = ours
        for one in dict.fromkeys(engines):
            event.listen(one, "begin", begin_sqlite)
            event.listen(one, "handle_error", note_error)
        setattr(engine.dialect, SCHEMA, "main")
        return engines

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
        from rollout.adapters.sql.first_answer import answered_within

        lookout: Lookout | None = None
        try:
            with (
                answered_within(patience_s, waiting) as silence,
                self.translated(),
                self.engine.connect() as connection,
                connection.begin(),
            ):
                server = bound(connection, patience_s)
                silence.cancel()
                lookout = Lookout(self.engine, server, waiting)
                with lookout:
                    yield connection
        except LedgerBusy as error:
            if lookout is None or not lookout.blockers:
                raise
            raise LedgerBusy(self.url, error.cause, lookout.blockers) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a reading transaction. Raises LedgerSlow inside of `patience.reads_within`."""
        with (
            self.translated(),
            self.engine.connect() as connection,
            connection.begin(),
            bounded(connection, self.url, is_postgresql=self.is_postgresql),
        ):
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
            # Also read-only after a failover, or without a privilege: nothing can be recorded.
            raise ledger_error(self.url, error) from error


def _checked(url: str) -> tuple[URL, dict[str, int | None]]:
    """The URL, and how psycopg is to prepare statements where it says so."""
    try:
        parsed = make_url(url)
        known = parsed.get_backend_name() in ("sqlite", "postgresql")
    except ArgumentError:
        known = False
    except ValueError:  # a port that is no number
        raise WrongSettings(
            "the port of the ledger's URL must be a number, got something else",
            "correct ROLLOUT_LEDGER_URL; in a password write / as %2F, @ as %40 and : as %3A",
        ) from None
    if not known:
        raise WrongSettings(
            "the ledger must be sqlite:///file or postgresql+psycopg://..., got a URL that begins "
            f"with {url.split(':', 1)[0][:40]!r}",
            "correct ROLLOUT_LEDGER_URL",
        )
    said = parsed.query.get(_THRESHOLD)
    if said is None:
        return parsed, {}
    if said != "none" and not str(said).isdecimal():
        raise WrongSettings(
            f"{_THRESHOLD} in the ledger's URL must be a number or none, got {said!r}",
            "leave it out of ROLLOUT_LEDGER_URL: behind a pooler nothing is prepared by itself",
        )
    threshold = None if said == "none" else int(str(said))
    return parsed.difference_update_query([_THRESHOLD]), {_THRESHOLD: threshold}


def is_pooled(database: Database) -> bool:
    """Whether a pooler stands before PostgreSQL and lends its sessions."""
    with database.read() as connection:
        return POOLED in connection.info


def ping(database: Database) -> None:
    """Ask the database for an answer. Raises LedgerUnreachable."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
