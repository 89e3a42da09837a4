"""A turn beside a long queue, a held row or a slow server: the heartbeat goes on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.errors import LedgerBusy
from rollout.jobs.ports import Handed
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import Kill
from rollout.routing.stages import Event
from tests.builders import NAME, filing
from tests.world import GONE, World

C = JobPath.CONCURRENT
JOBS = 1_200


def slow_broker(world: World, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice takes this long to send."""
    send = world.queues.send_jobs

    def slowly(jobs: list[Handed]) -> None:
        send(jobs)
        world.clock.advance(seconds)

    monkeypatch.setattr(world.queues, "send_jobs", slowly)


def killed_queue(world: World, name: str = NAME) -> None:
    """A kill that reached the fence and moved nothing: its command was stopped then."""
    world.ledger.file([filing(f"{name}-{number}", name=name) for number in range(JOBS)])
    kill = Kill(f"kill-{name}", name, "ada", "long", world.clock.now())
    world.control.latch(kill)
    world.ledger.kill(kill)


def test_a_turn_moves_a_bounded_part_of_a_long_queue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others keep their scope while turn after turn moves it all, each job once."""
    world.declare()
    world.declare(name="bills")
    killed_queue(world)
    slow_broker(world, 0.6, monkeypatch)
    turns = 0
    while len(world.queues.sent) < JOBS:
        began = world.clock.monotonic()
        moved = world.runtime.tick.turn().recalled
        assert 0 < moved <= 1_000
        assert world.clock.monotonic() - began < 2
        assert world.runtime.submit.decide("bills", "7").path is C
        world.clock.advance(1)
        turns += 1
    assert turns >= 3
    assert len(set(world.queues.sent)) == JOBS
    assert world.runtime.tick.turn().recalled == 0


def test_no_long_queue_keeps_another_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two killed at once are moved in turn."""
    for name in ("bills", NAME):
        world.declare(name=name)
        killed_queue(world, name)
    slow_broker(world, 1.1, monkeypatch)
    for _ in range(2):
        world.runtime.tick.turn()
    assert {job_id.rpartition("-")[0] for job_id in world.queues.sent} == {"bills", NAME}


def test_a_turn_that_takes_long_beats_in_between(world: World) -> None:
    """Slow steps pass the time of supervision four times over; nobody is unsupervised."""
    names = [NAME, *(f"bills-{number}" for number in range(20))]
    for name in names:
        world.declare(name=name)
    world.control._supervised_until = None
    seen: list[Reason] = []

    def slowly(call: str) -> None:
        if call == "redate":
            seen.append(world.runtime.submit.decide(NAME, "7").reason)
            world.clock.advance(2)

    world.line.before = slowly
    assert world.runtime.tick.turn().errors == []
    assert len(seen) == len(names)
    assert Reason.UNSUPERVISED not in seen


def test_a_turn_that_was_overtaken_ends(world: World) -> None:
    """Another controller leads by the time this one would beat again: it leaves the rest to it."""
    for name in [NAME, *(f"bills-{number}" for number in range(5))]:
        world.declare(name=name)
    swept = 0

    def slowly(call: str) -> None:
        nonlocal swept
        if call == "redate":
            swept += 1
            world.clock.advance(20)
            world.ledger.take_lease("other", world.clock.now(), timedelta(seconds=6))

    world.line.before = slowly
    report = world.runtime.tick.turn()
    assert not report.leads
    assert swept == 1


def test_a_kill_whose_row_somebody_holds_stops_no_heartbeat(world: World) -> None:
    """The turn says who holds it, fences the other kills, beats, and fences it when it is free."""
    world.declare()
    world.declare(name="bills")
    world.declare(name="letters")
    for name in (NAME, "bills"):
        world.control.latch(Kill(f"kill-{name}", name, "ada", "why", world.clock.now()))
    held = True
    kill = world.ledger.kill

    def refuse(one: Kill, **given: object) -> object:
        if held and one.name == NAME:
            world.clock.advance(0.5)
            raise LedgerBusy("sqlite:///x", GONE, ("session 7 (psql)",))
        return kill(one)

    world.ledger.kill = refuse  # type: ignore[method-assign,assignment]
    for _ in range(3):
        report = world.runtime.tick.turn()
        assert "session 7 (psql)" in report.errors[0]
        assert world.control.read("letters").supervised
    assert world.ledger.control("bills").killed
    assert not world.ledger.control(NAME).killed
    held = False
    assert world.runtime.tick.turn().errors == []
    assert world.ledger.control(NAME).killed


def test_a_leftover_on_a_broker_of_another_path_defers_nothing(world: World) -> None:
    """What waits in the other queue says nothing about this one."""
    world.declare()
    world.ledger.file([filing()])
    world.clock.advance(31)
    world.queues.hands, world.queues.waiting = None, {JobPath.LEGACY: 1, C: 0}
    assert world.runtime.tick.turn().resent_lost == 1


def test_a_leftover_that_nobody_takes_ends_no_sweep_for_ever(world: World) -> None:
    """A queue that cannot be looked into is believed for an hour."""
    world.declare()
    world.ledger.file([filing()])
    world.queues.hands, world.queues.waiting = None, {C: 1}
    world.clock.advance(3_500)
    assert world.runtime.tick.turn().resent_lost == 0
    world.clock.advance(200)
    assert world.runtime.tick.turn().resent_lost == 1
    assert world.queues.sent == ["job-1"]


def test_jobs_of_a_reverted_sub_pipeline_come_back_in_parts_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revert leaves as long a queue as a kill."""
    world.declare()
    world.ledger.file([filing(f"job-{number}") for number in range(JOBS)])
    world.runtime.changes.change(NAME, Event.REVERT, "ada", "slow")
    slow_broker(world, 0.6, monkeypatch)
    assert 0 < world.runtime.tick.turn().recalled <= 1_000


def test_a_ledger_that_was_restored_is_in_force_again(world: World) -> None:
    """Its revisions are lower than those that the store has seen; nothing rules but the ledger."""
    world.declare()
    state = world.ledger.control(NAME)
    ahead = replace(state, revision=state.revision + 40, scope_bp=9_000)
    assert world.control.project(ahead)
    report = world.runtime.tick.turn()
    assert "was it restored?" in report.errors[0]
    assert world.control.read(NAME).state == state
    assert world.runtime.tick.turn().errors == []
