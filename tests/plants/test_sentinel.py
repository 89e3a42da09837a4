"""A control store behind Sentinels: found, followed through a failover, and killed stays killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from rollout.adapters.redis.store import RedisControlStore
from rollout.errors import ControlStoreUnreachable
from rollout.jobs.claims import Claim
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.wiring import Runtime, build
from tests.builders import NAME, NOW, SILENT_AFTER, kill_of, split
from tests.crash.children import Children
from tests.crash.servers import wait_for_port
from tests.plants import debian
from tests.ports import free_port
from tests.waiting import wait_until
from tests.world import World

pytestmark = pytest.mark.plants


class Pair:
    """A primary, its replica, and the Sentinel that chooses between them."""

    def __init__(self, folder: Path) -> None:
        debian.install()
        self.ports = {name: free_port() for name in ("primary", "replica", "sentinel")}
        self.children = Children(folder / "logs")
        follows = ("--replicaof", "127.0.0.1", str(self.ports["primary"]))
        one = debian.redis(folder / "primary", self.ports["primary"])
        two = debian.redis(folder / "replica", self.ports["replica"], *follows)
        watch = debian.sentinel(
            folder / "sentinel", self.ports["sentinel"], self.ports["primary"], "mym", 1
        )
        self._servers = {"primary": one, "replica": two, "sentinel": watch}
        self.url = f"sentinel://127.0.0.1:{self.ports['sentinel']}/0?master_name=mym"

    def start(self) -> None:
        """Start all three."""
        for name, server in self._servers.items():
            self.children.start(name, server.words, server.env, cwd=server.folder)
            wait_for_port(self.ports[name], 60)
        wait_until(self._is_followed, "the Sentinel knows the replica", 30)

    def _ask(self, *words: str) -> object:
        client: Any = Redis(port=self.ports["sentinel"], protocol=2, decode_responses=True)
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def _is_followed(self) -> bool:
        return str(self.ports["replica"]) in str(self._ask("SENTINEL", "REPLICAS", "mym"))

    def copied(self, key: str) -> bool:
        """Whether the replica has this key."""
        client = Redis(port=self.ports["replica"], protocol=2)
        try:
            return bool(client.exists(key))
        finally:
            client.close()

    def fail_over(self) -> None:
        """Kill the primary and wait until the replica is one."""
        self.children.kill("primary")
        wait_until(self._is_over, "the replica is the primary", 40)

    def _is_over(self) -> bool:
        try:
            found = self._ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mym")
        except RedisError:
            return False
        client: Any = Redis(port=self.ports["replica"], protocol=2)
        try:
            role: list[object] = client.execute_command("ROLE")
        finally:
            client.close()
        return str(self.ports["replica"]) in str(found) and role[0] == b"master"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Servers of one's own."""
    made = Pair(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.children.end()


def test_the_store_follows_a_failover(pair: Pair) -> None:
    """Reads are unreachable, hence legacy, until there is a primary again; then they go on."""
    store = RedisControlStore(pair.url, connect_timeout_s=1, read_timeout_s=1)
    store.project(split())
    assert store.read(NAME).state is not None
    wait_until(lambda: pair.copied(f"rollout:control:{NAME}"), "the replica has it", 20)
    pair.fail_over()
    wait_until(lambda: store.read(NAME).state is not None, "the store answers again", 20)
    assert store.project(split(revision=4))
    assert "master_name" not in store.url
    store.close()


def test_a_kill_outlives_a_failover_that_loses_its_latch(pair: Pair, world: World) -> None:
    """The new primary never had the latch: the ledger refuses, and the next turn latches again."""
    store = RedisControlStore(pair.url, connect_timeout_s=1, read_timeout_s=1)
    world.runtime.control = store
    world.declare()
    wait_until(lambda: pair.copied(f"rollout:control:{NAME}"), "the replica has it", 20)
    latch = f"rollout:kill:{NAME}"
    world.runtime.changes.kill(NAME, "ada", "errors")
    assert store.read(NAME).killed
    pair.fail_over()
    wait_until(lambda: store.read(NAME).state is not None, "the store answers again", 20)
    if pair.copied(latch):  # replication was quicker than the fault: play one that was not
        store.unlatch(NAME, store.latches()[0].kill_id)
    claim = world.ledger.claim(
        NAME, "job-1", JobPath.CONCURRENT, Effects.COMMIT, "w", NOW, SILENT_AFTER
    )
    assert not isinstance(claim, Claim)
    world.runtime.tick.turn()
    assert [kill.name for kill in store.latches()] == [NAME]
    assert store.read(NAME).killed
    store.close()


def test_commands_and_workers_find_it_by_the_brokers_own_options(
    pair: Pair, no_settings: Path
) -> None:
    """Without a control store in the settings the broker's Sentinels serve, under its prefix."""
    broker = pair.url.partition("?")[0]
    options = {"master_name": "mym", "global_keyprefix": "shop:"}
    for brief in (False, True):
        runtime: Runtime = build(broker_url=broker, broker_transport_options=options)
        runtime.brief = brief
        runtime.control.latch(kill_of())
        assert [kill.name for kill in runtime.control.latches()] == [NAME]
        runtime.close()
    client = Redis(port=pair.ports["primary"], protocol=2, decode_responses=True)
    assert list(client.scan_iter(match="*")) == [f"shop:rollout:kill:{NAME}"]
    client.close()


def test_sentinels_that_are_away_are_a_store_that_is_away() -> None:
    """No traceback, no pinned address."""
    store = RedisControlStore("sentinel://127.0.0.1:1;sentinel://127.0.0.1:2/0?master_name=m")
    assert store.read(NAME).doubt is not None
    with pytest.raises(ControlStoreUnreachable):
        store.latches()
    store.close()
