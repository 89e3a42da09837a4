"""Which jobs count as lost where the broker does not say what its workers hold."""

from datetime import timedelta

import pytest

from rollout.adapters.sql.ledger import SqlLedger
from rollout.controller.lost import LOOKS_S
from rollout.jobs.ports import Lost
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, filing
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


def turns(world: World, times: int = 3, pause_s: float = LOOKS_S) -> int:
    """Several turns, as a controller makes them; how many jobs they sent again."""
    sent = 0
    for _ in range(times):
        sent += world.runtime.tick.turn().resent_lost
        world.clock.advance(pause_s)
    return sent


def blind(world: World, waiting: dict[JobPath, int] | None = None) -> None:
    """Play RabbitMQ: it says how many messages are ready, and which is next, and no more."""
    world.queues.hands = None
    world.queues.waiting = waiting or {C: 0, L: 0}
    world.queues.next_up = {
        path: None for path, messages in world.queues.waiting.items() if not messages
    }


def test_what_a_worker_has_fetched_is_not_lost(world: World) -> None:
    """Its receipts speak for it, however long it waits behind others."""
    world.declare()
    blind(world)
    world.ledger.file([filing("fetched", at=world.clock.now())])
    for _ in range(20):
        world.ledger.note_fetched(NAME, C, ["fetched"], world.clock.now())
        assert turns(world, 2, 10) == 0
    assert world.queues.sent == []


def test_what_a_dead_worker_had_fetched_is_lost(world: World) -> None:
    """It falls silent, and its message is nowhere; also where the broker believes it lives."""
    world.declare()
    world.ledger.file([filing("fetched", at=world.clock.now())])
    world.ledger.note_fetched(NAME, C, ["fetched"], world.clock.now())
    world.queues.hands = frozenset({"fetched"})
    world.clock.advance(29)
    assert turns(world, 1, 2) == 0
    assert turns(world, 1) == 1


def test_what_is_fetched_between_two_looks_is_not_lost(world: World) -> None:
    """It was next up at the one, and has its receipt at the other."""
    world.declare()
    world.ledger.file([filing("long ago", at=world.clock.now())])
    world.clock.advance(60)
    blind(world, {C: 1, L: 0})
    world.queues.next_up[C] = "long ago"
    assert turns(world, 2) == 0
    blind(world)
    assert turns(world, 1, 1) == 0, "it was fetched a moment ago"
    world.ledger.note_fetched(NAME, C, ["long ago"], world.clock.now())
    assert turns(world, 4) == 0


def test_a_job_before_a_queue_that_stands_still_is_found_by_counting(world: World) -> None:
    """Three of five messages are there: the two that are dated before them are lost."""
    world.declare()
    world.ledger.file([filing(f"lost-{number}", at=world.clock.now()) for number in range(2)])
    world.clock.advance(2)
    world.ledger.file([filing(f"waits-{number}", at=world.clock.now()) for number in range(3)])
    blind(world, {C: 3, L: 0})
    world.queues.next_up[C] = "waits-0"
    world.clock.advance(31)
    assert turns(world, 5, 6) == 0, "it has not stood for long enough"
    assert turns(world, 3, 6) == 2
    assert sorted(world.queues.sent) == ["lost-0", "lost-1"]
    turns(world, 5, 6)
    assert not {one for one in world.queues.sent if one.startswith("waits")}


def test_a_queue_that_stands_still_and_lacks_nothing_loses_nothing(world: World) -> None:
    """Messages were published in another order than their jobs are dated."""
    world.declare()
    world.ledger.file([filing(f"behind-{number}", at=world.clock.now()) for number in range(2)])
    world.clock.advance(2)
    world.ledger.file([filing("first", at=world.clock.now())])
    blind(world, {C: 3, L: 0})
    world.queues.next_up[C] = "first"
    world.clock.advance(31)
    assert turns(world, 30, 6) == 0


def test_first_message_of_a_job_that_was_sent_again_dates_the_queue(world: World) -> None:
    """One needless message must not have the whole queue behind it sent again, and again."""
    world.declare()
    filed_at = world.clock.now()
    world.ledger.file([filing(f"waits-{number}", L, at=filed_at) for number in range(5)])
    world.clock.advance(32)
    again = Lost(NAME, L, world.clock.now())
    assert len(world.ledger.resend_lost(again, world.clock.now(), 1)) == 1
    world.queues.next_up, world.queues.next_sent = {L: "waits-0"}, {L: filed_at}
    world.queues.waiting = {L: 6}
    assert turns(world, 20, 10) == 0


def test_a_message_dated_ahead_is_dated_by_the_ledger(world: World) -> None:
    """Its sender's clock was an hour ahead; what waits behind it is not lost for that."""
    world.declare()
    filed_at = world.clock.now()
    world.ledger.file([filing(f"waits-{number}", L, at=filed_at) for number in range(5)])
    world.queues.next_up = {L: "waits-0"}
    world.queues.next_sent = {L: filed_at + timedelta(hours=1)}
    world.queues.waiting = {L: 5}
    world.clock.advance(32)
    assert turns(world, 5, 10) == 0


@pytest.mark.parametrize("then", ["claimed", "moved"])
def test_a_receipt_is_for_what_waits_here(world: World, then: str) -> None:
    """One that comes late renews no other's run, and is none for the message of a moved job."""
    world.declare()
    world.ledger.file([filing("one", at=world.clock.now())])
    if then == "moved":
        world.clock.advance(31)
        world.runtime.tick.turn()
        assert world.job("one").path is L
    else:
        world.ledger.claim(
            NAME, "one", C, Effects.COMMIT, "w", world.clock.now(), timedelta(seconds=30)
        )
    before = world.job("one").renewed_at
    world.clock.advance(1)
    world.ledger.note_fetched(NAME, C, ["one"], world.clock.now())
    assert world.job("one").renewed_at == before


def test_many_receipts_are_several_transactions(world: World) -> None:
    """A worker without a limit of its prefetch has thousands."""
    world.declare()
    ids = [f"job-{number}" for number in range(1_200)]
    world.ledger.file([filing(one, at=world.clock.now()) for one in ids])
    world.clock.advance(10)
    ledger: SqlLedger = world.ledger
    ledger.note_fetched(NAME, C, ids, world.clock.now())
    world.clock.advance(25)
    now = world.clock.now()
    receipt_for = timedelta(seconds=30)
    lost = Lost(NAME, C, now - timedelta(seconds=30), now=now, receipt_for=receipt_for)
    assert ledger.count_lost(lost) == 0
    assert ledger.count_lost(Lost(NAME, C, now - timedelta(seconds=30))) == 1_200
