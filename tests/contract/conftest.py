"""What the contract suites run over: every adapter of each port."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import fakeredis
import pytest
from redis import Redis

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.redis.store import RedisControlStore
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.database import ping as ping_database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.control.acts import ActLog
from rollout.control.requests import AnswerRows
from rollout.control.tokens import AccessRows
from rollout.drills.ports import DrillLedger
from rollout.jobs.ports import Ledger
from rollout.pilot.ports import BuildLog, Leadership, Notices, PilotLedger
from rollout.policy.ports import Arrivals
from rollout.routing.ports import ControlStore
from tests.conftest import Postgresql
from tests.contract.differences import DIFFERENCES, Differences
from tests.hand_clock import HandClock
from tests.waiting import wait_until


class Closing(ControlStore, Protocol):
    """A store with what every adapter offers beside the port."""

    def ping(self) -> None:
        """Answer or raise."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


@dataclass
class StoreCase:
    """One adapter under test. `put` writes raw text where it keeps `control:<name>` and so on."""

    kind: str
    store: Closing
    ttl: timedelta
    pass_ttl: Callable[[], None]
    break_off: Callable[[], None]
    put: Callable[[str, str], None] | None


@pytest.fixture(params=["memory", "fakeredis", "valkey", "small client"])
def store_case(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    """The control store on every adapter."""
    makers = {"memory": _memory, **SERVERS}
    yield from makers[request.param](request)


@pytest.fixture
def store(store_case: StoreCase) -> Closing:
    """The store of the case."""
    return store_case.store


@pytest.fixture(params=["fakeredis", "valkey", "small client"])
def server_case(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    """The control store on adapters that keep text somewhere else."""
    yield from SERVERS[request.param](request)


def _memory(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    clock = HandClock()
    store = MemoryControlStore(clock)

    def break_off() -> None:
        store.reachable = False

    ttl = timedelta(seconds=10)
    yield StoreCase("memory", store, ttl, lambda: clock.advance(10), break_off, None)


def _fakeredis(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    server = fakeredis.FakeServer()

    def client() -> Any:
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    raw = client()
    store = RedisControlStore("redis://fake", client=client)

    def break_off() -> None:
        server.connected = False

    def pass_ttl() -> None:
        wait_until(lambda: not raw.exists("rollout:supervision"), "the heartbeat is forgotten")

    def put(key: str, value: str) -> None:
        raw.set(f"rollout:{key}", value)

    ttl = timedelta(milliseconds=50)
    yield StoreCase("fakeredis", store, ttl, pass_ttl, break_off, put)
    server.connected = True
    store.close()
    raw.close()


def _valkey(request: pytest.FixtureRequest, *, small: bool = False) -> Iterator[StoreCase]:
    url: str = request.getfixturevalue("valkey_url")
    prefix = f"{uuid4().hex}:"
    raw = Redis.from_url(url)
    # Other jobs on this machine may hold its two cores for longer than the default 100 ms.
    store = RedisControlStore(url, prefix, connect_timeout_s=2, read_timeout_s=2, small=small)

    def pass_ttl() -> None:
        wait_until(lambda: not raw.exists(f"{prefix}supervision"), "the heartbeat is forgotten")

    def break_off() -> None:
        raise AssertionError("the shared server is stopped in tests of its own")

    def put(key: str, value: str) -> None:
        raw.set(f"{prefix}{key}", value)

    yield StoreCase("valkey", store, timedelta(milliseconds=50), pass_ttl, break_off, put)
    for key in raw.scan_iter(f"{prefix}*"):
        raw.delete(key)
    store.close()
    raw.close()


SERVERS: dict[str, Callable[[pytest.FixtureRequest], Iterator[StoreCase]]] = {
    "fakeredis": _fakeredis,
    "valkey": _valkey,
    "small client": partial(_valkey, small=True),
}


class ClosingLedger(
    Ledger, PilotLedger, BuildLog, Notices, Arrivals, Leadership, DrillLedger, AccessRows, ActLog,
    AnswerRows, Protocol,
):  # fmt: skip
    """A ledger with what every adapter offers beside the port."""

    def close(self) -> None:
        """Close connections."""
        ...


@dataclass
class LedgerCase:
    """One ledger under test; `cut_off` takes it away and `bring_back` returns it."""

    kind: str
    ledger: ClosingLedger
    cut_off: Callable[[], None]
    bring_back: Callable[[], None]
    ping: Callable[[], None]

    @property
    def own(self) -> Differences:
        """What this adapter does otherwise."""
        return DIFFERENCES[self.kind]

    @property
    def is_postgresql(self) -> bool:
        """Whether its server can be asked for connections and locks."""
        return self.kind == "postgresql"

    @property
    def sql(self) -> SqlLedger:
        """The ledger, for tests of databases only."""
        assert isinstance(self.ledger, SqlLedger), "mark the test with @on_databases"
        return self.ledger

    def another(self) -> ClosingLedger:
        """A second client of the same ledger; the caller closes it."""
        if not self.own.speaks_sql:
            return self.ledger
        engine = self.sql.database.engine
        return SqlLedger(
            Database(engine.url.render_as_string(hide_password=False)), own_clock=False
        )


@pytest.fixture(params=list(DIFFERENCES))
def ledger_case(
    request: pytest.FixtureRequest, tmp_path: Path, migrated_file: bytes
) -> Iterator[LedgerCase]:
    """The ledger on every adapter, migrated and empty."""
    if request.param == "memory":
        yield _memory_ledger()
    elif request.param == "sqlite":
        yield from _sqlite(tmp_path, migrated_file)
    else:
        yield from _postgresql(request.getfixturevalue("postgresql"))


def _memory_ledger() -> LedgerCase:
    ledger = MemoryLedger()

    def cut_off() -> None:
        ledger.reachable = False

    def bring_back() -> None:
        ledger.reachable = True

    return LedgerCase("memory", ledger, cut_off, bring_back, ledger.ping)


def _sqlite(folder: Path, content: bytes) -> Iterator[LedgerCase]:
    path, away = folder / "ledger.db", folder / "away.db"
    path.write_bytes(content)
    ledger = SqlLedger(Database(f"sqlite:///{path}"), own_clock=False)

    def cut_off() -> None:
        # A database on a volume that was unmounted: the file is gone, a folder is in its place.
        ledger.close()
        for suffix in ("-wal", "-shm"):
            assert not Path(f"{path}{suffix}").exists(), "somebody else has the file open"
        path.rename(away)
        path.mkdir()

    def bring_back() -> None:
        path.rmdir()
        away.rename(path)

    yield LedgerCase("sqlite", ledger, cut_off, bring_back, lambda: ping_database(ledger.database))
    ledger.close()


def _postgresql(server: Postgresql) -> Iterator[LedgerCase]:
    name = server.shared
    ledger = SqlLedger(Database(server.url(name)), own_clock=False)
    yield LedgerCase(
        "postgresql",
        ledger,
        lambda: server.cut_off(name),
        lambda: server.bring_back(name),
        lambda: ping_database(ledger.database),
    )
    ledger.close()
    server.empty()


@pytest.fixture
def ledger(ledger_case: LedgerCase) -> ClosingLedger:
    """The ledger of the case."""
    return ledger_case.ledger
