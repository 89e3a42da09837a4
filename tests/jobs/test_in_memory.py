"""A sub-pipeline without any server: ledger, control store and broker in this process's memory."""

from pathlib import Path

import pytest
from celery import Celery
from typer.testing import CliRunner

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.memory.queues import MemoryQueues
from rollout.adapters.memory.transaction import MemoryTransaction
from rollout.cli.app import app as program
from rollout.errors import NoConnection, WrongSettings
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.wiring import Runtime, build
from tests.builders import NAME


@pytest.fixture
def runtime(no_settings: Path) -> Runtime:
    """Services without servers."""
    nowhere = "memory:"
    return build(
        ledger_url=nowhere, control_url=nowhere, broker_url=nowhere,
        snapshot_s=1e-9,  # what is changed is seen at once
    )  # fmt: skip


def declared(runtime: Runtime, lines: list[str]) -> SubPipeline:
    """A sub-pipeline whose hook writes lines, once each."""
    made = SubPipeline(NAME, effects="commit", key="n", holdback_bp=0, runtime=runtime)

    @made.legacy
    def old(n: int) -> str:
        return f"legacy {n}"

    @made.concurrent
    def new(n: int) -> str:
        if n == 13:
            raise ValueError(n)
        return f"concurrent {n}"

    @made.commit
    def write(value: str, job: Job) -> str:
        job.connection.on_commit(lambda: lines.append(value))
        return value

    return made


def test_a_job_takes_its_whole_way_without_servers(runtime: Runtime) -> None:
    """Legacy first, then concurrent, a fallback, a kill; every line is written once."""
    lines: list[str] = []
    made = declared(runtime, lines)
    assert made.run(n=1) == "legacy 1"
    runtime.changes.change(NAME, Event.START, "ada", "go")
    runtime.changes.change(NAME, Event.SCOPE, "ada", "all", scope_bp=10_000)
    runtime.tick.turn()
    assert made.run(n=2) == "concurrent 2"
    assert made.run(n=13) == "legacy 13"
    report = runtime.changes.kill(NAME, "ada", "enough")
    assert report.complete
    assert made.run(n=3) == "legacy 3"
    assert lines == ["legacy 1", "concurrent 2", "legacy 13", "legacy 3"]
    assert runtime.tick.turn().errors == []
    tallies = runtime.ledger.tallies()[0]
    assert sum(tally.jobs for tally in tallies if tally.outcome == JobState.COMMITTED) == 4
    assert isinstance(runtime.ledger, MemoryLedger)
    assert isinstance(runtime.queues, MemoryQueues)
    runtime.close()


def test_a_hook_that_speaks_sql_hears_that_there_is_no_database() -> None:
    """What the transaction in memory is not, it says; and after the commit it is over."""
    transaction = MemoryTransaction()
    with pytest.raises(NoConnection, match=r"in memory.*'execute'"):
        transaction.execute("INSERT")
    transaction.end(counts=False)
    with pytest.raises(NoConnection, match="after it"):
        transaction.on_commit(lambda: None)


def test_workers_of_a_real_broker_cannot_share_a_ledger_in_memory(no_settings: Path) -> None:
    """Each process would have a truth of its own."""
    with pytest.raises(WrongSettings, match="no other process sees"):
        _ = build(ledger_url="memory:", app_broker_url="redis://localhost").ledger
    made = SubPipeline(
        NAME, app=Celery("shop", broker="redis://x", set_as_current=False), effects="none",
        runtime=build(ledger_url="memory:", broker_url="amqp://x", control_url="memory:"),
    )  # fmt: skip
    with pytest.raises(WrongSettings, match="ROLLOUT_LEDGER_URL"):
        _ = made.ledger


@pytest.mark.parametrize("command", [["status"], ["kill", "--all", "--reason", "x"], ["doctor"]])
def test_commands_refuse_a_ledger_that_would_be_their_own(
    no_settings: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """`rollout kill` must not be acknowledged by a ledger that ends with the command."""
    monkeypatch.setenv("ROLLOUT_LEDGER_URL", "memory:")
    done = CliRunner().invoke(program, command, standalone_mode=True)
    assert done.exit_code != 0
    said = done.output + repr(done.exception)
    assert "no other process sees" in said


def test_a_path_has_no_transaction(runtime: Runtime) -> None:
    """As on a database, only the commit hook gets one."""
    with pytest.raises(NoConnection, match="in a path"):
        _ = Job("job-1", NAME, "7", JobPath.LEGACY, 1).connection
