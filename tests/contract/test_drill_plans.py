"""One suite over every control store: what drills keep there."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from rollout.drills.fault import ONE_WORKER, Fault, FaultPlan
from rollout.drills.plans import DrillPlans
from rollout.errors import ControlStoreUnreachable
from rollout.routing.decision import JobPath
from rollout.routing.rule import plan_in_force
from tests.builders import NAME, kill_of, split
from tests.contract.conftest import Closing, StoreCase
from tests.waiting import wait_until

LONG = timedelta(seconds=60)
UNTIL = datetime(2099, 1, 1, tzinfo=UTC)


def a_plan(**values: Any) -> FaultPlan:
    """A fault on both paths."""
    given: dict[str, Any] = {"drill_id": f"d-{NAME}", "jobs_max": 3, **values}
    return FaultPlan(
        name=NAME, paths=tuple(JobPath), fault=Fault.DELAY, until=UNTIL, fault_s=1.5, **given
    )


@pytest.fixture
def plans(store: Closing) -> DrillPlans:
    """The same store, as drills see it."""
    return cast(DrillPlans, store)


def test_a_planted_fault_is_read_with_the_state(store: Closing, plans: DrillPlans) -> None:
    """Every field comes back, in the one reading that a gate makes."""
    plan = a_plan(share_bp=2_500, worker="w1", memory_mb=7, stub_url="http://h")
    store.project(split())
    assert store.read(NAME).plan is None
    assert plans.plant(plan, LONG)
    reading = store.read(NAME)
    assert reading.plan == plan == plans.planted(NAME)
    assert reading.state == split()
    assert store.read(f"{NAME}-2").plan is None
    assert plan_in_force(reading, JobPath.LEGACY, UNTIL - LONG) == plan
    assert plan_in_force(reading, JobPath.LEGACY, UNTIL) is None


def test_a_sub_pipeline_has_one_fault(plans: DrillPlans) -> None:
    """The second is refused until the first is gone, and only its own drill takes it away."""
    assert plans.plant(a_plan(), LONG)
    assert not plans.plant(a_plan(drill_id="other"), LONG)
    assert not plans.unplant(NAME, "other")
    assert plans.unplant(NAME, f"d-{NAME}")
    assert not plans.unplant(NAME, f"d-{NAME}")
    assert plans.plant(a_plan(drill_id="other"), LONG)
    assert plans.unplant(NAME, None)


def test_a_plan_vanishes_by_itself(store_case: StoreCase) -> None:
    """Nobody has to take it away; leases go the same way."""
    plans = cast(DrillPlans, store_case.store)
    plans.plant(a_plan(), store_case.ttl)
    plans.reserve(NAME, "a", store_case.ttl)
    if store_case.kind == "memory":
        store_case.pass_ttl()
    wait_until(lambda: plans.planted(NAME) is None, "the plan is forgotten")
    wait_until(lambda: plans.reserve(NAME, "b", LONG) is None, "the lease is free")


def test_no_more_jobs_are_taken_than_the_limit(plans: DrillPlans) -> None:
    """Many workers at once get exactly so many; a job that was taken is taken again."""
    plan = a_plan()
    plans.plant(plan, LONG)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: plans.take(plan, f"job-{n}", f"w{n}"), range(40)))
    assert sum(got) == 3
    taken = got.index(True)
    assert plans.take(plan, f"job-{taken}", "w")


def test_nothing_is_taken_without_the_plan(plans: DrillPlans) -> None:
    """Gone, or another drill's."""
    plan = a_plan()
    assert not plans.take(plan, "job-1", "w1")
    plans.plant(a_plan(drill_id="other"), LONG)
    assert not plans.take(plan, "job-1", "w1")


@pytest.mark.parametrize("name", [NAME, None])
def test_nothing_is_taken_after_a_kill(store: Closing, plans: DrillPlans, name: str | None) -> None:
    """In the same step as the look at the latch, so that no worker slips through."""
    plan = a_plan()
    plans.plant(plan, LONG)
    store.latch(replace(kill_of(), name=name))
    assert not plans.take(plan, "job-1", "w1")
    assert plan_in_force(store.read(NAME), JobPath.LEGACY, UNTIL - LONG) is None
    store.unlatch(name, "kill-1")
    assert plans.take(plan, "job-1", "w1")


def test_one_worker_is_the_first_that_comes_by(plans: DrillPlans) -> None:
    """All others are left alone."""
    plan = a_plan(worker=ONE_WORKER)
    plans.plant(plan, LONG)
    assert plans.take(plan, "job-1", "w1")
    assert not plans.take(plan, "job-2", "w2")
    assert plans.take(plan, "job-3", "w1")


def test_a_resource_has_one_owner(plans: DrillPlans) -> None:
    """The owner and its time left are told to others, and only it gives the resource back."""
    assert plans.reserve(NAME, "a", LONG) is None
    held = plans.reserve(NAME, "b", LONG)
    assert held is not None
    assert held.owner == "a"
    assert timedelta(0) < held.left <= LONG
    plans.release(NAME, "b")
    held = plans.reserve(NAME, "b", LONG)
    assert held is not None
    assert held.owner == "a"
    plans.release(NAME, "a")
    assert plans.reserve(NAME, "b", LONG) is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"name": "invoices"}', "\\u0000"])
def test_a_damaged_plan_breaks_nothing(server_case: StoreCase, text: str) -> None:
    """It is no plan, and the state beside it is read."""
    assert server_case.put is not None
    server_case.store.project(split())
    server_case.put(f"drill:{NAME}", text)
    reading = server_case.store.read(NAME)
    assert (reading.plan, reading.state) == (None, split())
    plans = cast(DrillPlans, server_case.store)
    assert not plans.take(a_plan(), "job-1", "w1")
    plans.unplant(NAME, None)


def test_an_absent_store_says_so(store_case: StoreCase) -> None:
    """Every question but the reading raises."""
    if store_case.kind == "valkey":
        return  # the shared server is stopped in tests of its own
    plans = cast(DrillPlans, store_case.store)
    store_case.break_off()
    for ask in (
        lambda: plans.plant(a_plan(), LONG),
        lambda: plans.unplant(NAME, None),
        lambda: plans.planted(NAME),
        lambda: plans.take(a_plan(), "job-1", "w1"),
        lambda: plans.reserve(NAME, "a", LONG),
        lambda: plans.release(NAME, "a"),
    ):
        with pytest.raises(ControlStoreUnreachable):
            ask()
