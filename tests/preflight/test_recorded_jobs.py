"""Inputs from the ledger and from logs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rollout.adapters.envelope import seal
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.recorded_jobs import read_recorded, read_shadowed
from rollout.cli.app import app
from rollout.cli.exit_codes import ExitCode
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Committed
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.shadow.ports import ShadowBegun
from tests.builders import filing
from tests.conftest import Postgresql

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NAME = "invoices"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(
    request: pytest.FixtureRequest, tmp_path: Path, migrated_file: bytes
) -> Iterator[tuple[SqlLedger, Database]]:
    """A migrated ledger with one sub-pipeline."""
    server: Postgresql | None = None
    if request.param == "sqlite":
        (tmp_path / "ledger.db").write_bytes(migrated_file)
        url = f"sqlite:///{tmp_path}/ledger.db"
    else:
        server = request.getfixturevalue("postgresql")
        url = server.url(server.shared)
    database = Database(url)
    opened = SqlLedger(database)
    opened.ensure(NAME, Effects.NONE, 500, START)
    yield opened, database
    database.close()
    if server is not None:
        server.empty()


def file_job(ledger: SqlLedger, number: int, *, envelope: str | None = None) -> str:
    """A job that was accepted so many minutes after nine."""
    job_id = f"job-{number}"
    sealed = seal(NAME, {"headers": {}, "body": [[number], {"month": "11"}, {}]}, 10_000)
    at = START + timedelta(minutes=number)
    ledger.file([filing(job_id, envelope=sealed if envelope is None else envelope, at=at)])
    return job_id


def commit(ledger: SqlLedger, job_id: str, took_s: float) -> None:
    """Run it on legacy."""
    silent = timedelta(seconds=30)
    claim = ledger.claim(NAME, job_id, JobPath.LEGACY, Effects.NONE, "w", START, silent)
    assert isinstance(claim, Claim)
    ended = START + timedelta(seconds=took_s)
    assert isinstance(ledger.commit(claim, Effects.NONE, lambda _: "null", ended), Committed)


def test_the_newest_jobs_with_what_they_were_given(ledger: tuple[SqlLedger, Database]) -> None:
    """Since a time, so many; a message that cannot be read is told, one that was never kept not."""
    opened, database = ledger
    for number in range(4):
        file_job(opened, number)
    file_job(opened, 4, envelope="{")
    file_job(opened, 5, envelope="")
    commit(opened, "job-3", 2.5)
    since = START + timedelta(minutes=1)
    facts = read_recorded(database, NAME, since, 100)
    assert [one.where for one in facts] == [f"job job-{number}" for number in (5, 4, 3, 2, 1)]
    in_process, broken, done, waiting, _ = facts
    assert (in_process.arguments, in_process.unreadable) == (None, "")
    assert broken.unreadable == "its message cannot be read"
    assert done.arguments == ((3,), {"month": "11"})
    assert done.seconds == pytest.approx(2.5)
    assert done.size_bytes is not None
    assert done.size_bytes > 50
    assert waiting.seconds is None
    assert len(read_recorded(database, NAME, since, 2)) == 2


def test_inputs_of_shadows_come_first(ledger: tuple[SqlLedger, Database]) -> None:
    """Each once, newest first; without any shadow the newest jobs that can be run."""
    opened, database = ledger
    for number in range(4):
        file_job(opened, number)
    file_job(opened, 5, envelope="")
    newest = read_shadowed(database, NAME, 2)
    assert [one.where for one in newest] == ["job job-3", "job job-2"]
    for run, number in enumerate((1, 2, 1)):
        at = START + timedelta(hours=1, minutes=run)
        begun = ShadowBegun(f"run-{run}", NAME, f"job-{number}", JobPath.CONCURRENT, 1.0, at)
        opened.begin_shadow(begun, {})
    copied = read_shadowed(database, NAME, 10)
    assert [one.where for one in copied] == ["job job-1", "job job-2"]


def test_a_worker_log_tells_run_times(no_settings: Path) -> None:
    """By the name of the task; other tasks in it are left out, and so is what it cannot tell."""
    lines = []
    for number in range(40):
        at = f"[2026-11-02 09:{number:02d}:00,000: INFO/ForkPoolWorker-1] Task"
        took = 61.5 if number == 7 else 0.5
        lines.append(f"{at} rollout.invoices[{number:08x}-0000] succeeded in {took}s: None")
        lines.append(f"{at} shop.other[{number:08x}-0001] succeeded in 99.0s: None")
    (no_settings / "worker.log").write_text("\n".join(lines))
    done = CliRunner().invoke(
        app, ["preflight", "invoices", "worker.log", "-A", "tests.preflight.shop", "--json"]
    )
    page = json.loads(done.stdout)
    assert done.exit_code == ExitCode.FOUND
    assert page["sources"] == [{"name": "run times in worker.log", "jobs": 40}]
    (finding,) = page["findings"]
    assert finding["sentence"] == "1 run of 40 took longer than time_limit (60.0 s)"
    assert finding["examples"] == ["worker.log 2026-11-02 09:07 UTC: 61.5 s"]
    unsaid = {one["check"] for one in page["not_checked"]}
    assert {"arguments", "size", "keys", "effects", "order"} <= unsaid


def test_a_ledger_that_is_away_is_told_by_the_exit_code(
    no_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by every other command."""
    monkeypatch.setenv("ROLLOUT_LEDGER_URL", "sqlite:////proc/nowhere/ledger.db")
    done = CliRunner().invoke(app, ["preflight", "invoices", "-A", "tests.preflight.shop"])
    assert done.exit_code == ExitCode.UNANSWERED
