"""A site on a migrated SQLite ledger and a memory store, asked as a client asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rollout.adapters.envelope import seal
from rollout.control.access import Role
from rollout.jobs.claims import Claim
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.web.app import create_app
from tests.builders import NAME, filing
from tests.world import World, open_world

OURS = "http://127.0.0.1:8464"


@dataclass
class Office:
    """A site, the world behind it, and clients of it."""

    world: World
    settings: dict[str, Any] = field(default_factory=dict)
    clients: list[TestClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        runtime = self.world.runtime
        runtime.settings = runtime.settings.model_copy(update=self.settings)
        self.app = create_app(runtime, "ana")
        self.client = self.another()

    def another(self, peer: str = "127.0.0.1", **headers: str) -> TestClient:
        """A client with headers of its own, and no cookies yet."""
        client = TestClient(
            self.app, OURS, headers=headers, follow_redirects=False, client=(peer, 50_000),
            raise_server_exceptions=False,
        )  # fmt: skip
        client.__enter__()
        self.clients.append(client)
        return client

    def close(self) -> None:
        """End all clients."""
        for client in self.clients:
            client.__exit__(None, None, None)

    def declare(self, name: str = NAME, effects: str = "commit") -> None:
        """A sub-pipeline in stage split, half of its jobs in scope."""
        self.world.declare(effects, name=name)

    def token(self, role: Role, *names: str, days: float = 1) -> str:
        """The secret of a new token."""
        made = self.world.runtime.tokens.create(
            f"{role} robot", role, names or None, timedelta(days=days), "ana"
        )
        return made.secret

    def bearer(self, role: Role, *names: str) -> TestClient:
        """A client with a token."""
        return self.another(authorization=f"Bearer {self.token(role, *names)}")

    def waiting(self, count: int, name: str = NAME) -> None:
        """Jobs that wait on the concurrent path."""
        now = self.world.clock.now()
        self.world.ledger.file(
            [filing(f"waits-{one}", name=name, at=now, envelope=sealed()) for one in range(count)]
        )

    def running(self, job_id: str, name: str = NAME, effects: Effects = Effects.COMMIT) -> Claim:
        """A job that runs on the concurrent path."""
        now = self.world.clock.now()
        self.world.ledger.file([filing(job_id, name=name, at=now, envelope=sealed())])
        claim = self.world.ledger.claim(
            name, job_id, JobPath.CONCURRENT, effects, "w1", now, timedelta(seconds=30)
        )
        assert isinstance(claim, Claim)
        return claim

    def failed(self, job_id: str, error: str = "ValueError: no", name: str = NAME) -> None:
        """A kept failure."""
        now = self.world.clock.now()
        made = filing(job_id, JobPath.LEGACY, name=name, at=now, envelope=sealed())
        self.world.ledger.file([made])
        claim = self.world.ledger.claim(
            name, job_id, JobPath.LEGACY, Effects.COMMIT, "w1", now, timedelta(seconds=30)
        )
        assert isinstance(claim, Claim)
        self.world.ledger.fail(name, job_id, claim.attempt, None, error, now)


def sealed() -> str:
    """A kept message with arguments that are masked."""
    return seal(NAME, {"headers": {}, "body": [[], {"customer_id": 7, "pin": "hunter2"}]}, 10_000)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder without ROLLOUT_ variables."""
    for variable in list(os.environ):
        if variable.startswith("ROLLOUT_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


OpenOffice = Callable[..., Office]


@pytest.fixture
def open_office(no_variables: Path, migrated_file: bytes) -> Iterator[OpenOffice]:
    """Opens a site with the given settings."""
    offices: list[Office] = []

    def opened(**settings: Any) -> Office:
        office = Office(open_world(no_variables, migrated_file), settings)
        offices.append(office)
        return office

    yield opened
    for office in offices:
        office.close()
        office.world.runtime.close()


@pytest.fixture
def office(open_office: OpenOffice) -> Office:
    """A site on this machine where nobody has to sign in, with one sub-pipeline."""
    office = open_office()
    office.declare()
    return office
