"""One suite over every control store: memory, fakeredis, real Valkey."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from rollout.adapters.redis.client import open_client
from rollout.adapters.redis.store import RedisControlStore
from rollout.errors import ControlStoreUnreachable
from rollout.routing.decision import JobPath, Reason
from rollout.routing.rule import Reading, RouteTable
from rollout.routing.stages import ControlState, Event, Stage, apply
from tests.builders import NAME, kill_of, split
from tests.conftest import start_valkey
from tests.contract.conftest import Closing, StoreCase
from tests.ports import free_port


def reason_of(reading: Reading) -> Reason:
    """The reason that a routing decision on this reading carries."""
    return RouteTable(reading).decide("7").reason


def test_an_empty_store_is_unknown(store: Closing) -> None:
    """Nothing written means a doubt with its own name, not an open gate."""
    assert store.read(NAME) == Reading(None, doubt=Reason.UNKNOWN)
    assert store.latches() == []


def test_a_projected_state_is_read_as_it_was(store: Closing) -> None:
    """Every field comes back, with the enum it was."""
    state = split(killed=True, frozen=True, kill_id="k2", lifted_kill_id="k1", fence_revision=2)
    assert store.project(state)
    found = store.read(NAME).state
    assert found == state
    assert found is not None
    assert found.stage is Stage.SPLIT


def test_sub_pipelines_do_not_see_each_other(store: Closing) -> None:
    """State and latch belong to one name, also when one name begins with the other."""
    store.project(split())
    store.latch(kill_of(NAME))
    assert store.read(f"{NAME}-2") == Reading(None, doubt=Reason.UNKNOWN)
    assert store.read(NAME[:-1]) == Reading(None, doubt=Reason.UNKNOWN)


def test_a_projection_goes_forward_only(store: Closing) -> None:
    """An older or equal revision is refused and changes nothing."""
    assert store.project(split(6_400, revision=5))
    assert not store.project(split(100, revision=4))
    assert not store.project(split(100, revision=5))
    assert store.read(NAME).state == split(6_400, revision=5)
    assert store.project(split(200, revision=6))
    assert store.read(NAME).state == split(200, revision=6)


def test_the_newest_of_many_concurrent_writers_wins(store: Closing) -> None:
    """Whatever order writers arrive in, the largest revision stays."""
    revisions = list(range(1, 61))
    Random(7).shuffle(revisions)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda revision: store.project(split(revision=revision)), revisions))
    state = store.read(NAME).state
    assert state is not None
    assert state.revision == 60


def test_a_revision_beyond_53_bits_still_goes_forward(store: Closing) -> None:
    """Lua's numbers are doubles; no revision in use comes near, and a large one is kept whole."""
    large = 2**53 - 1
    assert store.project(split(revision=large))
    assert not store.project(split(revision=large - 1))
    state = store.read(NAME).state
    assert state is not None
    assert state.revision == large


@pytest.mark.parametrize("name", [NAME, None])
def test_a_latch_closes_the_gate_until_it_is_lifted(store: Closing, name: str | None) -> None:
    """A kill of one or of all is seen by the next read."""
    store.project(split())
    store.beat("controller", timedelta(seconds=10))
    assert RouteTable(store.read(NAME)).decide("7").path is JobPath.CONCURRENT
    store.latch(kill_of(name))
    assert reason_of(store.read(NAME)) is (Reason.KILLED if name else Reason.KILLED_ALL)
    assert store.latches() == [kill_of(name)]
    assert store.unlatch(name, "kill-1")
    assert reason_of(store.read(NAME)) is Reason.IN_SCOPE
    assert store.latches() == []


def test_a_late_projection_does_not_undo_a_kill(store: Closing) -> None:
    """A projection with a newer revision that knows nothing of the kill leaves the latch."""
    store.beat("controller", timedelta(seconds=10))
    store.project(split(revision=3))
    store.latch(kill_of())
    store.project(split(revision=9, killed=False))
    assert reason_of(store.read(NAME)) is Reason.KILLED


def test_only_the_same_kill_lifts_a_latch(store: Closing) -> None:
    """A rearm that is late does not lift the next person's kill."""
    assert not store.unlatch(NAME, "kill-1")
    store.latch(kill_of(kill_id="kill-1"))
    store.latch(kill_of(kill_id="kill-2"))
    assert not store.unlatch(NAME, "kill-1")
    assert not store.unlatch(NAME, None)
    assert not store.unlatch(None, "kill-2")
    assert store.read(NAME).killed
    assert store.unlatch(NAME, "kill-2")
    assert not store.read(NAME).killed


def test_all_latches_are_listed(store: Closing) -> None:
    """Those of single sub-pipelines and that of all, whole."""
    kills = [kill_of(None, "k0"), kill_of("a", "k1"), kill_of("a:b*?[", "k2")]
    for kill in kills:
        store.latch(kill)
    assert sorted(store.latches(), key=lambda kill: kill.kill_id) == kills


def test_supervision_expires(store_case: StoreCase) -> None:
    """Without a heartbeat the gate closes; the next one opens it."""
    store = store_case.store
    store.project(split())
    assert reason_of(store.read(NAME)) is Reason.UNSUPERVISED
    store.beat("controller", timedelta(seconds=10))
    assert reason_of(store.read(NAME)) is Reason.IN_SCOPE
    store.beat("another", store_case.ttl)
    store_case.pass_ttl()
    assert reason_of(store.read(NAME)) is Reason.UNSUPERVISED


@pytest.mark.parametrize("store_case", ["memory", "fakeredis"], indirect=True)
def test_a_store_that_is_away_is_a_doubt_and_an_error(store_case: StoreCase) -> None:
    """Reading gives UNREACHABLE; everything else raises ControlStoreUnreachable."""
    store = store_case.store
    store.project(split())
    store_case.break_off()
    assert store.read(NAME) == Reading(None, doubt=Reason.UNREACHABLE)
    for act in (
        lambda: store.project(split(revision=9)),
        lambda: store.beat("controller", timedelta(seconds=1)),
        lambda: store.latch(kill_of()),
        lambda: store.unlatch(NAME, "kill-1"),
        store.latches,
        store.ping,
    ):
        with pytest.raises(ControlStoreUnreachable):
            act()


WHOLE = asdict(split())
UNREADABLE = {
    "not json": "{",
    "empty": "",
    "a number": "5",
    "a list": "[]",
    "null": "null",
    "nothing in it": "{}",
    "another's state": json.dumps({**WHOLE, "name": "other"}),
    "an unknown stage": json.dumps({**WHOLE, "stage": "turbo"}),
    "a scope as text": json.dumps({**WHOLE, "scope_bp": "100"}),
    "a scope above all": json.dumps({**WHOLE, "scope_bp": 10_001}),
    "a negative holdback": json.dumps({**WHOLE, "holdback_bp": -1}),
    "no revision": json.dumps({**WHOLE, "revision": None}),
    "a salt that is a number": json.dumps({**WHOLE, "salt": 5}),
    "no word on the kill": json.dumps({**WHOLE, "killed": None}),
    "the kill left out": json.dumps({k: v for k, v in WHOLE.items() if k != "killed"}),
    "the salt left out": json.dumps({k: v for k, v in WHOLE.items() if k != "salt"}),
    "brackets without end": "[" * 100_000,
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_not_wholly_a_state_is_unreadable(server_case: StoreCase, text: str) -> None:
    """Anything else under the key is a doubt of its own, whose decision is legacy."""
    assert server_case.put is not None
    server_case.store.beat("controller", timedelta(seconds=10))
    server_case.put(f"control:{NAME}", text)
    reading = server_case.store.read(NAME)
    assert (reading.state, reading.doubt) == (None, Reason.UNREADABLE)
    assert reason_of(reading) is Reason.UNREADABLE


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.lists(st.integers(), max_size=2), st.sampled_from(["split", "graduated", 9_500, NAME]),
)  # fmt: skip


@pytest.mark.parametrize("server_case", ["fakeredis"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), VALUES, min_size=1))
def test_a_damaged_state_never_opens_the_gate(
    server_case: StoreCase, damage: dict[str, Any]
) -> None:
    """Reading and routing never raise, and a concurrent decision needs a state that is whole."""
    assert server_case.put is not None
    server_case.store.beat("controller", timedelta(seconds=10))
    server_case.put(f"control:{NAME}", json.dumps({**WHOLE, **damage}))
    reading = server_case.store.read(NAME)
    decision = RouteTable(reading).decide("7")
    if decision.path is JobPath.CONCURRENT:
        state = reading.state
        assert state is not None
        assert state.killed is False
        assert 0 <= state.scope_bp <= 10_000
        assert 0 <= state.holdback_bp <= 10_000


def test_fields_of_a_newer_release_are_left_aside(server_case: StoreCase) -> None:
    """A state with more fields than this release knows is still one."""
    assert server_case.put is not None
    server_case.put(f"control:{NAME}", json.dumps({**WHOLE, "epoch": 7}))
    assert server_case.store.read(NAME).state == split()


def test_an_unreadable_state_is_repaired_by_the_next_projection(server_case: StoreCase) -> None:
    """Damage does not stop the controller from writing the truth over it."""
    assert server_case.put is not None
    for text in ("{", "[1]", "5", '{"revision": "x"}', '{"revision": null}'):
        server_case.put(f"control:{NAME}", text)
        assert server_case.store.project(split(revision=1))
        assert server_case.store.read(NAME).state == split(revision=1)


LATCHES = {
    "not json": "{",
    "nothing in it": "{}",
    "a list": "[1]",
    "only an id": '{"kill_id": "kill-9"}',
    "a time without zone": json.dumps({**asdict(kill_of()), "at": "2026-11-02T09:00:00"}),
    "an id that is no text": '{"kill_id": 5}',
}


@pytest.mark.parametrize("text", LATCHES.values(), ids=LATCHES.keys())
def test_a_damaged_latch_still_holds_and_can_be_lifted(server_case: StoreCase, text: str) -> None:
    """In doubt a latch is a latch; what `latches` calls it is the id that lifts it."""
    assert server_case.put is not None
    store = server_case.store
    server_case.put(f"kill:{NAME}", text)
    assert store.read(NAME).killed
    (kill,) = store.latches()
    assert (kill.name, kill.at.tzinfo is not None) == (NAME, True)
    assert isinstance(kill.kill_id, str)
    assert store.unlatch(NAME, kill.kill_id)
    assert not store.read(NAME).killed


# Real servers only ---------------------------------------------------------------------------


def test_a_stopped_server_is_unreachable_at_once_and_empty_when_it_returns(
    request: pytest.FixtureRequest,
) -> None:
    """A killed store closes the gate; one that lost its memory is UNKNOWN, not open."""
    server = start_valkey()
    request.addfinalizer(server.stop)
    store = RedisControlStore(server.connection_url, connect_timeout_s=1, read_timeout_s=1)
    request.addfinalizer(store.close)
    store.project(split())
    assert store.read(NAME).state == split()
    server.stop()
    assert store.read(NAME) == Reading(None, doubt=Reason.UNREACHABLE)
    with pytest.raises(ControlStoreUnreachable, match="jobs run on legacy meanwhile"):
        store.latch(kill_of())
    server.start()
    assert store.read(NAME) == Reading(None, doubt=Reason.UNKNOWN)


@pytest.mark.parametrize("path", ["", "/3"])
def test_a_server_that_never_answers_costs_one_timeout(black_hole: int, path: str) -> None:
    """The gate waits for connect and read once, with nothing repeated, also for a database."""
    store = RedisControlStore(f"redis://127.0.0.1:{black_hole}{path}")
    for _ in range(3):
        began = time.monotonic()
        assert store.read(NAME).doubt is Reason.UNREACHABLE
        # 100 ms to connect, 100 ms to read; the rest is for a machine whose cores are busy.
        assert time.monotonic() - began < 0.2 + 0.2
    store.close()


def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    """A refused connection is the same doubt."""
    store = RedisControlStore(f"redis://127.0.0.1:{free_port()}/0")
    assert store.read(NAME).doubt is Reason.UNREACHABLE
    store.close()


def test_answers_that_are_not_the_protocol_are_unreachable() -> None:
    """Another service on the port is a doubt, not a crash of the worker."""
    with socket.socket() as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        served = pool.submit(answer)
        store = RedisControlStore(
            f"redis://127.0.0.1:{listener.getsockname()[1]}/0", read_timeout_s=2
        )
        assert store.read(NAME).doubt is Reason.UNREACHABLE
        served.result()
        store.close()


def test_one_look_at_the_gate_is_one_command(valkey_url: str) -> None:
    """State, both latches and supervision come in a single MGET."""
    admin = Redis.from_url(valkey_url)
    store = RedisControlStore(valkey_url, "one-look:", 2, 2)
    store.read(NAME)  # connects

    def calls() -> dict[str, int]:
        stats: Any = admin.info("commandstats")
        return {name: stats[name]["calls"] for name in stats if name != "cmdstat_info"}

    before = calls()
    for _ in range(5):
        store.read(NAME)
    after = calls()
    grown = {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name)}
    assert grown == {"cmdstat_mget": 5}
    store.close()
    admin.close()


def test_a_forked_child_sees_a_kill_set_after_the_fork(valkey_url: str) -> None:
    """The child opens its own connection and asks again; parent and child do not mix answers."""
    store = RedisControlStore(valkey_url, "forked:", 2, 2)
    store.project(split())
    store.beat("controller", timedelta(seconds=10))
    assert store.read(NAME).killed is False
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:  # in the child nothing of pytest may run
        code = 1
        try:
            os.read(to_child, 1)
            code = 0 if all(store.read(NAME).killed for _ in range(50)) else 2
        finally:
            os._exit(code)
    store.latch(kill_of())
    os.write(from_parent, b"x")
    assert all(store.read(NAME).state == split() for _ in range(50))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    store.unlatch(NAME, "kill-1")
    raw = open_client(valkey_url, 2, 2)
    raw.delete(f"forked:control:{NAME}", "forked:supervision")
    raw.close()
    store.close()
    os.close(to_child)
    os.close(from_parent)


def test_a_kill_and_projections_at_once_leave_the_kill(valkey_url: str) -> None:
    """Controllers project as fast as they can while a person kills: the latch stands."""
    stores = [RedisControlStore(valkey_url, "race:", 2, 2) for _ in range(4)]
    barrier = Barrier(4)

    def project(number: int) -> None:
        barrier.wait()
        state = split(revision=1)
        for _ in range(50):
            state = replace(apply(state, Event.FREEZE), killed=False)
            stores[number].project(state)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(project, number) for number in range(3)]
        barrier.wait()
        stores[3].latch(kill_of())
        for one in running:
            one.result()
    assert stores[0].read(NAME).killed
    raw = open_client(valkey_url, 2, 2)
    raw.delete(f"race:control:{NAME}", f"race:kill:{NAME}")
    raw.close()
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@db.example:6380/2", "redis://db.example:6380/2"),
        ("rediss://ada:secret@db.example", "rediss://db.example"),
        ("unix:///run/valkey.sock?password=secret", "unix:///run/valkey.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """Messages name the server and no secret."""
    store = RedisControlStore(url)
    assert store.url == shown
    store.close()


def test_a_state_is_written_over_the_very_one_that_was_named(store: Closing) -> None:
    """Of a ledger that was taken back; a change made meanwhile is not lost."""
    newer, older = ControlState("invoices", revision=50), ControlState("invoices", revision=7)
    assert store.project(newer)
    assert not store.project(older)
    assert not store.project(older, over=49)
    assert store.read("invoices").state == newer
    assert store.project(older, over=50)
    assert store.read("invoices").state == older
