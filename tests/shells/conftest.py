"""The front door of the command line: a migrated SQLite ledger and a real Valkey."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rollout.adapters.celery import workers
from rollout.adapters.envelope import seal
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from rollout.cli.app import app
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Committed, Filing
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.wiring import Runtime, build
from tests.conftest import start_valkey

NOBODY = "redis://127.0.0.1:1/0"
NOWHERE = "sqlite:////proc/nowhere/ledger.db"


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    """A real Valkey on a free port."""
    server = start_valkey()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated ledger to copy."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@dataclass
class House:
    """One user's shell: its settings, its folder, and what the services say behind the CLI."""

    folder: Path
    setenv: Callable[[str, str], None]
    ids: list[str] = field(default_factory=list)

    def run(self, *arguments: str) -> Result:
        """Run a command as typed."""
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and read what it printed."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def lose_store(self) -> None:
        """Point the control store where nobody listens."""
        self.setenv("ROLLOUT_CONTROL_URL", NOBODY)

    def lose_broker(self) -> None:
        """Point the broker where nobody listens."""
        self.setenv("ROLLOUT_BROKER_URL", NOBODY)

    def lose_ledger(self) -> None:
        """Point the ledger where no file can be."""
        self.setenv("ROLLOUT_LEDGER_URL", NOWHERE)

    @contextmanager
    def services(self) -> Iterator[Runtime]:
        """The services on the same settings."""
        runtime = build()
        try:
            yield runtime
        finally:
            runtime.close()

    def declare(self, *names: str, effects: Effects = Effects.COMMIT) -> None:
        """Create control rows, as a first submission does."""
        with self.services() as runtime:
            for name in names:
                runtime.ledger.ensure(name, effects, 500, datetime.now(UTC))

    def tick(self) -> None:
        """Let a controller take one turn."""
        with self.services() as runtime:
            assert runtime.tick.turn().errors == []

    def submit(self, name: str = "invoices", *, sendable: bool = True) -> str:
        """File a job on the concurrent path."""
        job_id = f"job-{len(self.ids)}-{self.folder.name}"
        self.ids.append(job_id)
        headers = {"id": job_id, "task": f"rollout.{name}"}
        parts = {
            "headers": headers,
            "body": [[], {}, {}],
            "properties": {"correlation_id": job_id},
        }
        envelope = seal(name, parts, 10_000)
        filing = Filing(
            job_id=job_id,
            name=name,
            key="7",
            path=JobPath.CONCURRENT,
            reason=Reason.IN_SCOPE,
            revision=2,
            envelope=envelope if sendable else "",
            at=datetime.now(UTC),
        )
        with self.services() as runtime:
            runtime.ledger.file([filing])
        return job_id

    def begin(self, job_id: str, name: str = "invoices", effects: Effects = Effects.COMMIT) -> None:
        """Let a concurrent worker claim the job."""
        with self.services() as runtime:
            now, silent = datetime.now(UTC), runtime.settings.silent_after
            path = JobPath.CONCURRENT
            runtime.ledger.claim(name, job_id, path, effects, "worker-1", now, silent)

    def commit(self, job_id: str, name: str = "invoices") -> None:
        """Let a worker claim the job and commit it on legacy."""
        with self.services() as runtime:
            now, silent = datetime.now(UTC), runtime.settings.silent_after
            claim = runtime.ledger.claim(
                name, job_id, JobPath.LEGACY, Effects.COMMIT, "worker-1", now, silent
            )
            assert isinstance(claim, Claim)
            done = runtime.ledger.commit(claim, Effects.COMMIT, lambda connect: "null", now)
            assert isinstance(done, Committed)

    def fail(self, job_id: str, error: str = "ValueError: no address") -> None:
        """Keep the job as failed."""
        with self.services() as runtime:
            (record,) = runtime.ledger.jobs_of(job_id)
            now = datetime.now(UTC)
            runtime.ledger.fail(record.name, job_id, None, Reason.FAILED, error, now)


@pytest.fixture
def house(tmp_path: Path, migrated: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A shell in an empty folder with one declared sub-pipeline, `invoices`."""
    for name in os.environ:
        if name.startswith("ROLLOUT_"):
            monkeypatch.delenv(name)
    # Each turn of the house is one of the same controller, whatever services it is built of.
    monkeypatch.setattr(Runtime, "_owner", "house:1-0000")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copy(migrated, tmp_path / "ledger.db")
    monkeypatch.setenv("ROLLOUT_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("ROLLOUT_BROKER_URL", valkey)
    monkeypatch.setenv("ROLLOUT_CONTROL_URL", valkey)
    monkeypatch.setenv("ROLLOUT_KEY_PREFIX", f"{tmp_path.name}:")
    monkeypatch.setenv("ROLLOUT_ACTOR", "ana")
    # No worker is there, and to wait 0.7 s for its answer at each command comes to minutes.
    monkeypatch.setattr(workers, "ANSWER_S", 0.05)
    house = House(tmp_path, monkeypatch.setenv)
    house.declare("invoices")
    return house
