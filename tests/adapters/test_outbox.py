"""Notices leave beside the turn: told once, again to those who did not answer, never in its way."""

import time
from datetime import timedelta

import pytest

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.notify import TRIES_MAX, Outbox
from rollout.pilot.ports import NewDecision
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.routing.effects import Effects
from rollout.wiring import build
from tests.builders import NAME
from tests.hand_clock import HandClock
from tests.waiting import wait_until

TTL = timedelta(hours=9)


class Service:
    """Takes notices; `away` names addresses that do not."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.tried: list[str] = []
        self.away: set[str] = set()

    def __call__(self, url: str, title: str, body: str) -> bool:
        """Take one."""
        self.tried.append(url)
        if url in self.away:
            return False
        self.told.append((url, title, body))
        return True


def decided(ledger: MemoryLedger, clock: HandClock, window: str = "w1") -> None:
    """A decision that people are told of."""
    state = ledger.ensure(NAME, Effects.NONE, 500, clock.now())
    token = ledger.take_lease("one", clock.now(), TTL)
    assert token is not None
    rows = {row.columns["name"]: row.columns["version"] for row in ledger.trial_rows()}
    trial = begin(state, (None, None), Policy(), None, clock.now())
    trial = type(trial)(**{**_fields(trial), "version": rows.get(NAME, 0)})
    made = NewDecision(
        NAME, clock.now(), window, "revert", "back to legacy: 7 of 17 failed", "{}", "{}", None,
        None, state.revision, notice=True,
    )  # fmt: skip
    assert ledger.decide(token, made, trial) is not None


def _fields(trial: object) -> dict[str, object]:
    return {name: getattr(trial, name) for name in trial.__dataclass_fields__}  # type: ignore[attr-defined]


def test_each_address_is_told_once() -> None:
    """Title and sentence; nothing is left after it."""
    ledger, clock, service = MemoryLedger(), HandClock(), Service()
    decided(ledger, clock)
    outbox = Outbox(ledger, clock, ["json://a", "json://b"], service)
    assert outbox.send_one()
    assert not outbox.send_one()
    title, sentence = f"rollout: {NAME}: revert", "back to legacy: 7 of 17 failed"
    assert service.told == [("json://a", title, sentence), ("json://b", title, sentence)]
    assert ledger.open_notices() == []


def test_who_did_not_answer_is_told_again_and_nobody_else() -> None:
    """Later each time; the mail is not sent ten times because the pager is away."""
    ledger, clock, service = MemoryLedger(), HandClock(), Service()
    decided(ledger, clock)
    service.away = {"json://a"}
    outbox = Outbox(ledger, clock, ["json://a", "json://b"], service)
    assert outbox.send_one()
    assert not outbox.send_one()
    clock.advance(5)
    assert outbox.send_one()
    service.away = set()
    clock.advance(5)
    assert not outbox.send_one()
    clock.advance(5)
    assert outbox.send_one()
    assert [url for url, _, _ in service.told] == ["json://b", "json://a"]
    assert ledger.open_notices() == []


def test_an_address_that_never_answers_is_given_up() -> None:
    """After about an hour; it does not stand before the next notice for ever."""
    ledger, clock, service = MemoryLedger(), HandClock(), Service()
    decided(ledger, clock)
    service.away = {"json://a"}
    outbox = Outbox(ledger, clock, ["json://a"], service)
    began = clock.monotonic()
    while ledger.open_notices():
        outbox.send_one()
        clock.advance(5)
    assert len(service.tried) == TRIES_MAX
    assert 1_800 < clock.monotonic() - began < 7_200


def test_two_controllers_do_not_send_the_same_notice() -> None:
    """Who takes it has it; should it die, another one takes it after some minutes."""
    ledger, clock = MemoryLedger(), HandClock()
    decided(ledger, clock)
    again = clock.now() + timedelta(minutes=5)
    assert ledger.take_notice(clock.now(), again) is not None
    assert ledger.take_notice(clock.now(), again) is None
    clock.advance(301)
    assert ledger.take_notice(clock.now(), again + timedelta(minutes=5)) is not None


def test_an_address_that_hangs_holds_up_nobody(black_hole: int) -> None:
    """A web hook that takes the connection and never answers: starting and stopping are at once."""
    ledger = MemoryLedger()
    runtime = build(ledger_url="memory:", control_url="memory:", broker_url="memory:")
    decided(ledger, HandClock())
    outbox = Outbox(ledger, runtime.clock, [f"json://127.0.0.1:{black_hole}"])
    began = time.monotonic()
    outbox.start()
    assert time.monotonic() - began < 0.5
    wait_until(lambda: ledger.open_notices()[0].tries == 1, "the outbox has taken the notice")
    began = time.monotonic()
    outbox.stop()
    assert time.monotonic() - began < 3
    assert len(ledger.open_notices()) == 1
    runtime.close()


def test_no_address_starts_no_thread() -> None:
    """Nothing to tell, nobody to wait for."""
    outbox = Outbox(MemoryLedger(), HandClock(), [])
    outbox.start()
    assert outbox._thread is None
    outbox.stop()


@pytest.mark.parametrize("pause", [timedelta(seconds=30), timedelta(minutes=6)])
def test_what_a_dead_sender_had_taken_comes_again(pause: timedelta) -> None:
    """At least once: its answer may have been lost with it."""
    ledger, clock, service = MemoryLedger(), HandClock(), Service()
    decided(ledger, clock)
    ledger.take_notice(clock.now(), clock.now() + timedelta(minutes=5))
    clock.advance(pause.total_seconds())
    sent = Outbox(ledger, clock, ["json://a"], service).send_one()
    assert sent is (pause > timedelta(minutes=5))
