"""The hot statements on the driver's own cursors keep what SQLAlchemy's connections promise."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rollout.adapters.sql import database as database_module
from rollout.adapters.sql.control_rows import fence_key
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import LazyTransaction
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import migrate
from rollout.adapters.sql.tables import from_microseconds, to_microseconds
from rollout.errors import LedgerNotMigrated, LedgerUnreachable
from rollout.jobs.claims import Claim, JobState, Refusal
from rollout.jobs.ports import Committed, Filing, Refused
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import Kill
from tests.conftest import Postgresql

NOW = datetime(2026, 11, 2, 8, 30, 15, 123456, tzinfo=UTC)
SILENT = timedelta(seconds=30)


@pytest.fixture
def postgresql_ledger(postgresql: Postgresql) -> Iterator[SqlLedger]:
    """A ledger in a database of its own, because connections to it are cut here."""
    name = postgresql.create()
    ledger = SqlLedger(Database(postgresql.url(name)))
    migrate(ledger.database)
    ledger.ensure("invoices", Effects.COMMIT, 0, NOW)
    yield ledger
    ledger.close()
    postgresql.drop(name)


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    """A ledger on a new SQLite file."""
    ledger = SqlLedger(Database(f"sqlite:///{tmp_path}/ledger.db"))
    migrate(ledger.database)
    ledger.ensure("invoices", Effects.COMMIT, 0, NOW)
    yield ledger
    ledger.close()


def filing(job_id: str) -> Filing:
    """A job on the concurrent path, with a time to wait for."""
    return Filing(
        job_id,
        "invoices",
        "7",
        JobPath.CONCURRENT,
        Reason.IN_SCOPE,
        3,
        "{}",
        NOW,
        not_before=NOW + timedelta(minutes=5),
    )


def claimed(ledger: SqlLedger, job_id: str) -> Claim:
    """File and claim a job."""
    ledger.file([filing(job_id)])
    claim = ledger.claim("invoices", job_id, JobPath.CONCURRENT, Effects.COMMIT, "w:1", NOW, SILENT)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("kind", ["sqlite_ledger", "postgresql_ledger"])
def test_row_read_by_the_driver_is_the_row_read_by_sqlalchemy(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """The record of a refusal (driver) equals `job` (SQLAlchemy) in every light column."""
    ledger: SqlLedger = request.getfixturevalue(kind)
    claimed(ledger, "same-row")
    busy = ledger.claim("invoices", "same-row", JobPath.LEGACY, Effects.COMMIT, "w:2", NOW, SILENT)
    assert isinstance(busy, Refused)
    assert busy.refusal is Refusal.BUSY
    assert busy.record == replace(ledger.job("invoices", "same-row"), way="", envelope="")
    read = ledger.job("invoices", "same-row")
    for field in fields(busy.record):
        if field.name not in ("way", "envelope"):
            assert type(getattr(busy.record, field.name)) is type(getattr(read, field.name))


def test_microseconds_lose_nothing() -> None:
    """A time survives its way into the driver and back."""
    assert from_microseconds(to_microseconds(NOW)) == NOW


@pytest.mark.parametrize("act", ["file", "claim", "commit"])
def test_connection_cut_while_idle_is_replaced(postgresql_ledger: SqlLedger, act: str) -> None:
    """A restarted server costs the next job nothing: it would have gone to legacy."""
    ledger = postgresql_ledger
    job_id = f"cut-{act}"
    claim = claimed(ledger, job_id)
    _cut_all(ledger)
    match act:
        case "file":
            ledger.file([filing(f"{job_id}-2")])
        case "claim":
            busy = ledger.claim(
                "invoices", job_id, JobPath.LEGACY, Effects.COMMIT, "w", NOW, SILENT
            )
            assert isinstance(busy, Refused)
        case _:
            assert ledger.commit(claim, Effects.COMMIT, lambda connect: "1", NOW) == Committed("1")


def test_connection_cut_in_the_middle_is_unreachable(postgresql_ledger: SqlLedger) -> None:
    """The driver's own error becomes LedgerUnreachable, and the next transaction is whole."""
    ledger = postgresql_ledger
    with pytest.raises(LedgerUnreachable):
        _cut_in_the_middle(ledger)
    ledger.file([filing("after the cut")])


def _cut_in_the_middle(ledger: SqlLedger) -> None:
    with ledger.database.translated(), LazyTransaction(ledger.database) as transaction:
        cursor = transaction.cursor()
        cursor.execute("SELECT 1")
        _cut_all(ledger)
        cursor.execute("SELECT 1")


def test_connection_cut_under_the_hook_is_unreachable(postgresql_ledger: SqlLedger) -> None:
    """The hook's own writes go with the connection, and the commit can be tried again."""
    ledger = postgresql_ledger
    claim = claimed(ledger, "cut-hook")

    def write(connect: Any) -> str:
        connect().execute(text("SELECT 1"))
        _cut_all(ledger)
        return "1"

    with pytest.raises(LedgerUnreachable):
        ledger.commit(claim, Effects.COMMIT, write, NOW)
    assert ledger.job("invoices", "cut-hook").state is JobState.STARTED
    done = ledger.commit(claim, Effects.COMMIT, lambda connect: "1", NOW)
    assert done == Committed("1")


def _cut_all(ledger: SqlLedger) -> None:
    """End every other session of this database, and wait until they have ended."""
    query = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    other = Database(ledger.database.engine.url.render_as_string(hide_password=False))
    with other.read() as connection:
        connection.execute(query)
    other.close()


def test_claim_that_waited_for_a_kill_sees_it(postgresql_ledger: SqlLedger) -> None:
    """The fence is a statement of its own: one with the check in it would read the old row."""
    ledger = postgresql_ledger
    ledger.file([filing("late")])
    answers: list[Any] = []
    claim = threading.Thread(
        target=lambda: answers.append(
            ledger.claim("invoices", "late", JobPath.CONCURRENT, Effects.COMMIT, "w", NOW, SILENT)
        )
    )
    with ledger.database.write() as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": fence_key("invoices")}
        )
        claim.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        deadline = time.monotonic() + 20
        while not connection.execute(waiting).scalar_one():
            assert time.monotonic() < deadline, "the claim waits for the fence"
            time.sleep(0.01)
        connection.execute(text("UPDATE sub_pipeline SET killed = true WHERE name = 'invoices'"))
    claim.join(20)
    with ledger.database.write() as connection:
        connection.execute(text("UPDATE sub_pipeline SET killed = false WHERE name = 'invoices'"))
    assert [answer.refusal for answer in answers] == [Refusal.KILLED]


def test_locked_file_is_unreachable_after_the_timeout(
    sqlite_ledger: SqlLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims (driver) and kills (SQLAlchemy) wait for the single writer, and not for ever."""
    sqlite_ledger.file([filing("locked")])
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    holder = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnreachable):
        sqlite_ledger.claim("invoices", "locked", JobPath.LEGACY, Effects.COMMIT, "w", NOW, SILENT)
    with pytest.raises(LedgerUnreachable):
        sqlite_ledger.kill(Kill("k1", "invoices", "me", "why", NOW), patience_s=0.5)
    holder.execute("ROLLBACK")
    holder.close()
    assert isinstance(claimed(sqlite_ledger, "free"), Claim)


def test_missing_tables_say_migrate(tmp_path: Path) -> None:
    """The driver's 'no such table' is told apart from an absent database."""
    (tmp_path / "empty.db").touch()
    ledger = SqlLedger(Database(f"sqlite:///{tmp_path}/empty.db"))
    with pytest.raises(LedgerNotMigrated):
        ledger.file([filing("nowhere")])
    ledger.close()
