"""Migrations: up, down, up; models equal migrations; the wheel carries them."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from rollout.adapters.sql import pilot_tables  # noqa: F401  # its tables join the metadata
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import current, downgrade, migrate, newest
from rollout.adapters.sql.tables import metadata
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW
from tests.conftest import Postgresql

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables, on both kinds."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/ledger.db")
        database.begin_file()
        yield database
        database.close()
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    name = server.create()
    database = Database(server.url(name))
    yield database
    database.close()
    server.drop(name)


def tables(database: Database) -> set[str]:
    """Names of all tables."""
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def test_up_down_up(empty: Database) -> None:
    """Down leaves nothing of ours behind, and up again gives a ledger that works."""
    assert current(empty) is None
    assert migrate(empty) == newest()
    downgrade(empty, "base")
    assert tables(empty) <= {"alembic_version"}
    if empty.is_postgresql:
        with empty.read() as connection:
            functions = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'transition%'"
            assert connection.execute(text(functions)).scalar_one() == 0
    assert migrate(empty) == newest()
    ledger = SqlLedger(empty)
    assert ledger.ensure(NAME, Effects.NONE, 500, NOW).revision == 1


def test_migrating_twice_changes_nothing(empty: Database) -> None:
    """Data and revision stay."""
    migrate(empty)
    SqlLedger(empty).ensure(NAME, Effects.NONE, 500, NOW)
    assert migrate(empty) == newest()
    assert [state.name for state in SqlLedger(empty).controls()] == [NAME]


def test_models_equal_migrations(empty: Database) -> None:
    """Alembic finds no difference in tables, columns, types or indexes."""
    migrate(empty)
    with empty.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences: list[Any] = compare_metadata(context, metadata)
    assert differences == []


def test_partial_indexes_are_the_same_as_in_the_models(empty: Database) -> None:
    """Alembic does not compare WHERE clauses of indexes; the database's own words are compared."""
    migrate(empty)
    by_migrations = _index_definitions(empty)
    downgrade(empty, "base")
    with empty.write() as connection:
        metadata.create_all(connection)
    assert _index_definitions(empty) == by_migrations


def _index_definitions(database: Database) -> dict[str, str]:
    query = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        if database.is_postgresql
        else "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )
    with database.read() as connection:
        found = {str(name): str(line) for name, line in connection.execute(text(query))}
    return {name: line for name, line in found.items() if not name.startswith("alembic")}


def test_a_failed_migration_leaves_the_ledger_as_it_was(empty: Database) -> None:
    """A revision that does not exist changes nothing, and the ledger can be migrated after it."""
    with pytest.raises(Exception, match="9999"):
        migrate(empty, "9999")
    assert current(empty) is None
    assert migrate(empty) == newest()


def test_a_wheel_carries_the_migrations(tmp_path: Path) -> None:
    """`rollout up` migrates, so an installed package has the scripts inside."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    scripts = {path.name for path in (ROOT / "migrations/versions").glob("*.py")}
    assert scripts
    assert {f"rollout/migrations/versions/{name}" for name in scripts} <= names
    assert {"rollout/migrations/env.py", "rollout/migrations/script.py.mako"} <= names
    assert not any(name.startswith(("tests/", "ops/")) for name in names)
