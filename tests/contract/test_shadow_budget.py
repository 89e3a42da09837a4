"""Rate and day's budget of shadow copies, in memory, on fakeredis and on Valkey."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import fakeredis
import pytest
from redis import Redis

from rollout.adapters.memory.shadow_budget import MemoryShadowBudget
from rollout.adapters.redis.shadow import RedisShadowBudget
from rollout.shadow.copies import Shed
from rollout.shadow.ports import ShadowBudget
from tests.hand_clock import HandClock
from tests.waiting import wait_until

MANY = 10**6


@dataclass
class BudgetCase:
    """One adapter; `break_off` takes its server away, `keys` are those without an expiry."""

    budget: ShadowBudget
    break_off: Callable[[], None]
    lasting_keys: Callable[[], list[str]]
    advance: Callable[[float], None] | None


@pytest.fixture(params=["memory", "fakeredis", "valkey"])
def case(request: pytest.FixtureRequest) -> Iterator[BudgetCase]:
    """The budget on every adapter."""
    if request.param == "memory":
        clock = HandClock()
        memory = MemoryShadowBudget(clock)

        def gone() -> None:
            memory.reachable = False

        yield BudgetCase(memory, gone, list, clock.advance)
        return
    prefix = f"{uuid4().hex}:"
    server = fakeredis.FakeServer()

    def client() -> "Redis":
        if request.param == "fakeredis":
            return fakeredis.FakeRedis(server=server, decode_responses=True)
        return Redis.from_url(request.getfixturevalue("valkey_url"), decode_responses=True)

    raw = client()
    made = client()
    budget = RedisShadowBudget("redis://unused", prefix, client=lambda: made)

    def cut() -> None:
        server.connected = False
        if request.param == "valkey":
            made.connection_pool.connection_kwargs |= {"port": 1}
            made.connection_pool.disconnect()

    def lasting() -> list[str]:
        return [key for key in raw.scan_iter(f"{prefix}*") if raw.ttl(key) < 0]

    yield BudgetCase(budget, cut, lasting, None)
    server.connected = True
    for key in raw.scan_iter(f"{prefix}*"):
        raw.delete(key)
    budget.close()
    raw.close()


def test_a_rate_lets_one_seconds_worth_through_at_once(case: BudgetCase) -> None:
    """Then no more, and each sub-pipeline has its own."""
    said = [case.budget.take("invoices", 5, MANY) for _ in range(30)]
    taken = said.count(None)
    assert 5 <= taken <= 8, "a slow machine may let a little time pass"
    assert said.count(Shed.RATE) == 30 - taken
    assert case.budget.take("bills", 5, MANY) is None


def test_a_slow_rate_lets_one_through(case: BudgetCase) -> None:
    """One in a hundred seconds."""
    said = [case.budget.take("invoices", 0.01, MANY) for _ in range(5)]
    assert said == [None, *[Shed.RATE] * 4]


def test_the_rate_comes_back_with_time(case: BudgetCase) -> None:
    """As many as the time that passed allows."""
    while case.budget.take("invoices", 20, MANY) is None:
        pass
    if case.advance is not None:
        case.advance(0.06)
    wait_until(lambda: case.budget.take("invoices", 20, MANY) is None, "one more may go", 5)


def test_the_days_budget_is_an_end(case: BudgetCase) -> None:
    """Whatever the rate; what was refused by the rate does not spend it."""
    assert [case.budget.take("invoices", 1000, 3) for _ in range(5)].count(None) == 3
    assert case.budget.take("invoices", 1000, 3) == Shed.BUDGET
    assert case.budget.take("bills", 1000, 0) == Shed.BUDGET


def test_no_key_stays(case: BudgetCase) -> None:
    """What counts copies is forgotten by itself."""
    for _ in range(10):
        case.budget.take("invoices", 5, 8)
    assert case.lasting_keys() == []


def test_an_absent_store_refuses(case: BudgetCase) -> None:
    """Nobody would count, so nothing is sent; nothing is raised."""
    case.break_off()
    assert case.budget.take("invoices", 5, MANY) == Shed.STORE
