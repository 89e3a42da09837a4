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
from sqlalchemy.exc import DBAPIError, IntegrityError

from rollout.adapters.sql import partial_indexes  # noqa: F401  # they join the metadata
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import current, downgrade, migrate, newest
from rollout.adapters.sql.names import VERSION_TABLE
from rollout.adapters.sql.tables import metadata
from rollout.jobs.claims import JobState
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing
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
    assert tables(empty) <= {VERSION_TABLE}
    if empty.is_postgresql:
        with empty.read() as connection:
            ours = "proname LIKE 'transition%' OR proname LIKE 'rollout%'"
            functions = f"SELECT count(*) FROM pg_proc WHERE {ours}"
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
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": VERSION_TABLE}
        )
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
    return {name: line for name, line in found.items() if not name.startswith(VERSION_TABLE)}


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


_BEFORE = (
    "INSERT INTO job (job_id, name, key, state, assigned_path, path, reason, revision, attempt, "
    "fence_revision, deaths, accepted_at, sent_at, folded, way, envelope) VALUES (:job_id, "
    "'invoices', '7', :state, 'legacy', 'legacy', 'stage', 1, 1, 0, 0, 5, 5, :folded, '', '{}')"
)


def test_jobs_of_the_schema_before_keep_their_rows_under_the_new_key(empty: Database) -> None:
    """From 0006 with data: expanded both keys work, contracted one id may be in two sub-pipelines.

    Down again the rows are there, and a downgrade that would lose one is refused.
    """
    migrate(empty, "0006")
    with empty.write() as connection:
        for number, state in enumerate(("accepted", "started", "committed", "failed")):
            values = {"job_id": f"job-{number}", "state": state, "folded": number == 3}
            connection.execute(text(_BEFORE), values)
    migrate(empty, "0008")
    ledger = SqlLedger(empty)
    ledger.ensure(NAME, Effects.NONE, 500, NOW)
    ledger.file([filing("new"), filing("job-0")])
    assert ledger.job(NAME, "job-0").state is JobState.ACCEPTED
    migrate(empty)
    ledger.file([filing("new", name="bills")])
    assert [job.name for job in ledger.jobs_of("new")] == ["bills", NAME]
    states = [str(ledger.job(NAME, f"job-{number}").state) for number in range(4)]
    assert states == ["accepted", "started", "committed", "failed"]
    assert ledger.kept_counts() == {NAME: 1}
    with pytest.raises(IntegrityError):
        downgrade(empty, "0008")
    assert current(empty) == newest()
    with empty.write() as connection:
        connection.execute(text("DELETE FROM job WHERE name = 'bills'"))
    downgrade(empty, "0006")
    with empty.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM job")).scalar_one() == 5
    assert migrate(empty) == newest()


def test_a_worker_of_the_release_before_runs_on_the_expanded_schema(empty: Database) -> None:
    """Its statements name the old key, and leave out what it does not know."""
    migrate(empty, "0008")
    with empty.write() as connection:
        for _ in range(2):
            connection.execute(
                text(_BEFORE + " ON CONFLICT (job_id) DO NOTHING"),
                {"job_id": "old", "state": "accepted", "folded": False},
            )
    assert SqlLedger(empty).job(NAME, "old").nonce is None


_REWRITES = {
    "sqlite": [
        "INSERT OR REPLACE INTO transition (id, name, at, event, actor, reason, before, after) "
        "SELECT id, name, at, event, 'mallory', reason, before, after FROM transition",
        "INSERT OR REPLACE INTO decision SELECT id, name, at, \"window\", 'mallory', sentence, "
        "revision, inputs, answer FROM decision",
        "INSERT OR REPLACE INTO drill_event SELECT id, drill_id, name, at, 'mallory', facts "
        "FROM drill_event",
        "REPLACE INTO transition (id, name, at, event, actor, reason, before, after) "
        "VALUES (1, 'invoices', 1, 'kill', 'mallory', '', '{}', '{}')",
    ],
    "postgresql": [
        "TRUNCATE transition",
        "TRUNCATE decision, drill_event",
        "TRUNCATE drill_event RESTART IDENTITY",
        "TRUNCATE decision CASCADE",
    ],
}


def test_no_log_can_be_rewritten(empty: Database) -> None:
    """Updated, deleted, replaced or truncated: the three logs refuse it to every client."""
    migrate(empty)
    with empty.write() as connection:
        connection.execute(
            text(
                "INSERT INTO transition (name, at, event, actor, reason, before, after) "
                "VALUES ('invoices', 1, 'start', 'ada', 'go', '{}', '{}')"
            )
        )
        connection.execute(
            text(
                'INSERT INTO decision (name, at, "window", action, sentence, revision, inputs, '
                "answer) VALUES ('invoices', 1, 'w', 'hold', 's', 1, '{}', '{}')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO drill_event (drill_id, name, at, what, facts) "
                "VALUES ('d', 'invoices', 1, 'began', '{}')"
            )
        )
    kind = "postgresql" if empty.is_postgresql else "sqlite"
    changes = [
        f"{verb} {table}"
        for table, column in (
            ("transition", "actor"),
            ("decision", "action"),
            ("drill_event", "what"),
        )
        for verb in (f"UPDATE {table} SET {column} = 'x' --", "DELETE FROM")
    ]
    for statement in [*_REWRITES[kind], *changes]:
        with pytest.raises(DBAPIError, match="append-only"), empty.engine.begin() as connection:
            connection.execute(text(statement))
    if kind == "sqlite":  # by its window, which is passed over as a second controller's is
        with empty.write() as connection:
            connection.execute(
                text(
                    'INSERT OR REPLACE INTO decision (name, at, "window", action, sentence, '
                    "revision, inputs, answer) VALUES "
                    "('invoices', 1, 'w', 'mallory', '', 1, '', '')"
                )
            )
    with empty.read() as connection:
        for table, column in (
            ("transition", "actor"),
            ("decision", "action"),
            ("drill_event", "what"),
        ):
            found = connection.execute(text(f"SELECT {column} FROM {table}")).scalars().all()
            assert found != ["mallory"]
            assert len(found) == 1
