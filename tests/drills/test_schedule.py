"""Overdue drills: when one is due, what keeps it waiting, and what is run."""

from dataclasses import replace
from typing import Any

import pytest

from rollout.drills.drills import DrillReport
from rollout.drills.schedule import Schedule, drills_due
from rollout.pilot.ports import Recovery
from rollout.pipeline import SubPipeline
from rollout.policy.policy import Policy, blocked_by
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from tests.builders import NAME
from tests.drills.test_drills import BOTH, a_drill
from tests.drills.test_drills import pipeline as pipeline
from tests.drills.test_drills import traffic as traffic
from tests.traffic import Traffic
from tests.world import World

POLICY = Policy(drills_min=6, drills_max_age_days=28)


def a_recovery(world: World, pair: str, path: JobPath, **values: Any) -> Recovery:
    """Half of a pair."""
    now = world.clock.now()
    made = Recovery(NAME, now, "drill", path, "raise", now, 5.0, 60.0, pair_id=pair)
    return replace(made, **values)


def keep_pairs(world: World, count: int, **values: Any) -> None:
    """Keep so many pairs."""
    for number in range(count):
        for path in BOTH:
            world.ledger.add_recovery(a_recovery(world, f"p{number}", path, **values))


def due(world: World) -> str | None:
    """Whether a drill is overdue."""
    return drills_due(world.ledger, NAME, POLICY, world.clock.now())


def test_a_drill_is_due_until_there_are_pairs_enough(world: World) -> None:
    """The sentence counts them."""
    world.declare()
    assert due(world) == (
        "Drill overdue: 'invoices' has 0 of 6 comparable drill pairs in the last 28 days."
    )
    keep_pairs(world, 6)
    assert due(world) is None
    world.clock.advance(28 * 86_400 + 1)
    assert "has 0 of 6" in (due(world) or "")


def test_a_new_step_asks_for_a_drill_of_its_own(world: World) -> None:
    """Six pairs are enough in all; over 25 % each step makes one of its own."""
    world.declare()
    keep_pairs(world, 6)
    world.clock.advance(60)
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "less", scope_bp=2000)
    world.runtime.tick.turn()
    assert due(world) is None
    world.clock.advance(60)
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "more", scope_bp=3000)
    world.runtime.tick.turn()
    assert "has 0 of 1 comparable drill pairs at this step" in (due(world) or "")
    keep_pairs(world, 7)
    assert due(world) is None


@pytest.mark.parametrize(
    "values",
    [{"kind": "incident"}, {"seconds": 60.0}, {"pair_id": None}, {"version": "another build"}],
    ids=["incident", "both censored", "no pair", "another build"],
)
def test_what_is_no_comparable_pair_does_not_count(world: World, values: dict[str, Any]) -> None:
    """Incidents, pairs that compare nothing, halves, and those of another build."""
    world.declare()
    keep_pairs(world, 2, **values)
    assert "has 0 of 6" in (due(world) or "")


@pytest.fixture
def schedule(world: World, pipeline: SubPipeline, traffic: Traffic) -> Schedule:
    """Two drills that take turns, half of the jitter drawn each time."""
    drills = [a_drill(paths=BOTH), a_drill(paths=BOTH, name="second")]
    return Schedule(
        drills,
        world.runtime.drills(None),
        world.ledger,
        world.clock,
        lambda name: POLICY,
        lambda: 0.5,
        lambda: JobPath.CONCURRENT,
        jitter_s=60,
        blocked=lambda policy, now: None,
    )


def looks(schedule: Schedule, world: World, seconds: float) -> DrillReport | str:
    """Look again later."""
    world.clock.advance(seconds)
    return schedule.look()


def test_overdue_drills_are_run_with_jitter_and_take_turns(
    world: World, schedule: Schedule
) -> None:
    """Each after its own random wait, until there are enough."""
    assert "It begins at" in str(schedule.look())
    assert "It begins at" in str(looks(schedule, world, 29))
    names = []
    for _ in range(6):
        found = looks(schedule, world, 2)
        if isinstance(found, str):  # the wait of the second is drawn anew
            found = looks(schedule, world, 31)
        assert isinstance(found, DrillReport)
        assert found.pair_id is not None
        names.append(found.drill.name)
    assert names == ["broken", "second"] * 3
    assert looks(schedule, world, 100) == "no drill is overdue"


def test_a_calendar_keeps_drills_waiting(world: World, schedule: Schedule) -> None:
    """And the jitter is drawn when it is over, not before."""
    held: list[str | None] = ["frozen until Monday"]
    schedule.blocked = lambda policy, now: held[0]
    assert str(schedule.look()).endswith("It waits: frozen until Monday.")
    assert "It waits" in str(looks(schedule, world, 100))
    held[0] = None
    assert "It begins at" in str(schedule.look())


def test_a_refused_drill_is_tried_again_later(
    world: World, schedule: Schedule, traffic: Traffic
) -> None:
    """Without traffic there is no steady state, and then there is."""
    traffic.paths = ()
    schedule.look()
    assert "Refused: no drill on 'invoices' now" in str(looks(schedule, world, 31))
    traffic.paths = BOTH
    assert "It begins at" in str(schedule.look())
    assert isinstance(looks(schedule, world, 31), DrillReport)


def test_the_policys_calendar_is_asked(schedule: Schedule, world: World) -> None:
    """By default that of the policy in force."""
    frozen = Policy(drills_min=2, quiet=())
    assert Schedule.__dataclass_fields__["blocked"].default is blocked_by
    assert blocked_by(frozen, world.clock.now()) is None
    schedule.blocked = blocked_by
    assert "It begins at" in str(schedule.look())
