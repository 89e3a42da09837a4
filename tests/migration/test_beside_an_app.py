"""The ledger in an application's database: neither takes the other's tables for its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, inspect, text

from rollout.adapters.sql import (  # noqa: F401
    drill_tables,
    order_tables,
    partial_indexes,
)
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import current, downgrade, migrate, newest
from rollout.adapters.sql.names import INDEXES, TABLES, VERSION_TABLE
from rollout.adapters.sql.tables import metadata
from rollout.errors import LedgerNotMigrated, WrongSettings
from rollout.jobs.claims import Claim, JobState
from rollout.jobs.ports import Committed, ConnectionSource
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing
from tests.conftest import Postgresql

APP = ("job", "lease", "decision", "tally")
"""Everyday words, so an application may well have tables of these names."""
APPS_JOB = Table(
    "job", MetaData(), Column("id", Integer, primary_key=True), Column("title", String)
)


@pytest.fixture(params=["sqlite", "postgresql"])
def app_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which an application lives: its tables, and its own Alembic at 0006."""
    server: Postgresql | None = None
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/app.db"
    else:
        server = request.getfixturevalue("postgresql")
        name = server.create()
        url = server.url(name)
    database = Database(url)
    database.begin_file()
    with database.write() as connection:
        for table in APP:
            connection.execute(text(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, title TEXT)"))
        connection.execute(text("CREATE INDEX job_open ON job (title)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0006')"))
    database.close()
    yield url
    if server is not None:
        server.drop(name)


def beside(url: str) -> Database:
    """The ledger's connections, as one would set them for this database."""
    return Database(url, None if url.startswith("sqlite") else "rollout")


def one_life(database: Database) -> None:
    """File, claim and commit a job whose hook writes into the application's table of jobs."""
    ledger = SqlLedger(database)
    ledger.ensure(NAME, Effects.COMMIT, 500, NOW)
    ledger.file([filing("job-1", JobPath.LEGACY)])
    claim = ledger.claim(NAME, "job-1", JobPath.LEGACY, Effects.COMMIT, "w", NOW, SILENT_AFTER)
    assert isinstance(claim, Claim)

    def write(connect: ConnectionSource) -> str:
        connection = connect()
        connection.execute(insert(APPS_JOB).values(id=1, title="by SQLAlchemy"))
        connection.execute(text("INSERT INTO job (id, title) VALUES (7, 'by text')"))
        return "1"

    assert isinstance(ledger.commit(claim, Effects.COMMIT, write, NOW), Committed)
    assert ledger.fold(10) == 1
    assert ledger.job(NAME, "job-1").state is JobState.COMMITTED
    assert ledger.open_counts() == []


def apps_rows(url: str) -> list[tuple[object, ...]]:
    """What the application finds in its table and in its Alembic's."""
    database = Database(url)
    with database.read() as connection:
        jobs = [tuple(row) for row in connection.execute(text("SELECT * FROM job ORDER BY id"))]
        versions = [tuple(row) for row in connection.execute(text("SELECT * FROM alembic_version"))]
    database.close()
    return jobs + versions


def test_a_ledger_lives_beside_an_applications_tables(app_url: str) -> None:
    """It has tables of its own, works, is found again, and the application's are as they were."""
    database = beside(app_url)
    assert current(database) is None
    assert migrate(database) == newest()
    one_life(database)
    database.close()
    again = beside(app_url)
    assert current(again) == newest() == migrate(again)
    assert [state.name for state in SqlLedger(again).controls()] == [NAME]
    again.close()
    rows = apps_rows(app_url)
    assert [title for _, title in rows[:-1]] == ["by SQLAlchemy", "by text"]
    assert rows[-1] == ("0006",)


def test_it_can_be_taken_back(app_url: str) -> None:
    """Down to nothing, and the application's tables stay."""
    database = beside(app_url)
    migrate(database)
    downgrade(database, "base")
    with database.read() as connection:
        ours = set(inspect(connection).get_table_names(database.schema))
    assert ours <= {*APP, "alembic_version", VERSION_TABLE}
    database.close()
    assert apps_rows(app_url) == [("0006",)]


def test_without_a_schema_postgresql_is_refused(postgresql: Postgresql) -> None:
    """The sentence names the tables that are in the way and the setting that helps."""
    name = postgresql.create()
    database = Database(postgresql.url(name))
    with database.write() as connection:
        connection.execute(text("CREATE TABLE decision (id INTEGER)"))
    with pytest.raises(WrongSettings, match=r"not rollout's: decision; .*ROLLOUT_LEDGER_SCHEMA"):
        migrate(database)
    with pytest.raises(LedgerNotMigrated):
        SqlLedger(database).controls()
    database.close()
    postgresql.drop(name)


def test_sqlite_has_no_schemas(tmp_path: Path) -> None:
    """A schema for a file is refused, with what happens instead."""
    with pytest.raises(WrongSettings, match="SQLite, which has no schemas; leave it out"):
        Database(f"sqlite:///{tmp_path}/l.db", "rollout")


def as_before(database: Database) -> None:
    """Note the version where the releases before noted it."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version SELECT * FROM rollout_version"))
        connection.execute(text("DROP TABLE rollout_version"))


@pytest.mark.parametrize("shared", [False, True])
def test_the_old_version_table_is_left_to_the_application(tmp_path: Path, shared: bool) -> None:
    """Ours moves; a line of the application's in the old table stays, an empty table goes."""
    database = Database(f"sqlite:///{tmp_path}/l.db")
    migrate(database)
    as_before(database)
    if shared:
        with database.write() as connection:
            connection.execute(text("INSERT INTO alembic_version VALUES ('a1b2c3d4e5f6')"))
    assert current(database) == newest()
    assert migrate(database) == newest()
    with database.read() as connection:
        tables = inspect(connection).get_table_names()
        assert VERSION_TABLE in tables
        assert ("alembic_version" in tables) is shared
        if shared:
            left = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
            assert list(left) == ["a1b2c3d4e5f6"]
    database.close()


@pytest.mark.parametrize("old", [False, True])
def test_a_ledger_moves_into_a_schema(postgresql: Postgresql, old: bool) -> None:
    """`migrate` with `ledger_schema` takes tables, rows and the log's guard along."""
    name = postgresql.create()
    before = Database(postgresql.url(name))
    migrate(before)
    SqlLedger(before).ensure(NAME, Effects.NONE, 500, NOW)
    if old:
        as_before(before)
    before.close()
    after = Database(postgresql.url(name), "rollout")
    assert migrate(after) == newest()
    assert [state.name for state in SqlLedger(after).controls()] == [NAME]
    job = filing("job-1", JobPath.LEGACY)
    assert SqlLedger(after)._lane.file(job), "its functions have come along, and find the tables"
    assert SqlLedger(after)._lane.claim(NAME, job.job_id, job.path, "w", NOW) is not None
    with after.read() as connection:
        assert inspect(connection).get_table_names() == []
    with pytest.raises(Exception, match="append-only"), after.write() as connection:
        connection.execute(text("TRUNCATE rollout.transition"))
    after.close()
    postgresql.drop(name)


def test_every_name_is_known() -> None:
    """The names that are looked for in a file are those of the models."""
    assert set(metadata.tables) == TABLES
    assert {one.name for table in metadata.tables.values() for one in table.indexes} == INDEXES
    columns = {column.name for table in metadata.tables.values() for column in table.columns}
    assert not columns & (TABLES | INDEXES)
