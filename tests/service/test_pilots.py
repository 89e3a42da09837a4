"""The controller's judgement on a real ledger and a hand-set clock: climb, hold, revert."""

from rollout.core.effects import Effects
from rollout.core.policy import Policies, Policy
from rollout.core.stages import Event, Stage
from rollout.ports import DecisionRecord
from tests.builders import NAME
from tests.service.conftest import World
from tests.service.stream import Stream

QUICK = Policy(drills_min=0, quiet=(), bake_days=7)


def use(world: World, policy: Policy) -> None:
    """Put a policy in force."""
    world.runtime.policies = Policies(default=policy)


def begin(world: World, policy: Policy = QUICK, scope_bp: int = 3200) -> Stream:
    """Declare a sub-pipeline, give it a week of legacy, and start it at this scope."""
    use(world, policy)
    world.ledger.ensure(NAME, Effects.COMMIT, 500, world.clock.now())
    stream = Stream(world)
    stream.days(2)
    world.runtime.changes.change(NAME, Event.START, "ada", "go")
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "go", scope_bp=scope_bp)
    return stream


def decided(world: World, action: str) -> list[DecisionRecord]:
    """Decisions of one kind, oldest first."""
    return [one for one in reversed(world.ledger.decisions(NAME, 100)) if one.action == action]


def test_equal_paths_climb_one_step_a_week(world: World) -> None:
    """No worse: after seven full days, not before, the scope grows, by a recorded look."""
    stream = begin(world)
    stream.slow_concurrent = 0.9  # so that a week of these few jobs is enough to show it
    stream.days(6.5)
    assert world.ledger.control(NAME).scope_bp == 3200
    assert decided(world, "advance") == []
    stream.days(0.7)
    assert world.ledger.control(NAME).scope_bp == 6400
    (made,) = decided(world, "advance")
    assert made.window.endswith("/look/1")


def test_failures_of_the_concurrent_path_revert(world: World) -> None:
    """Every job fails there: the scope goes back to legacy within a few jobs, and stays there."""
    stream = begin(world)
    stream.days(2)
    stream.fail_concurrent = 1.0
    stream.until(lambda: bool(decided(world, "revert")), hours=1)
    state = world.ledger.control(NAME)
    assert (state.stage, state.scope_bp) == (Stage.LEGACY, 0)
    stream.fail_concurrent = 0.0
    stream.days(2)
    assert world.ledger.control(NAME).stage is Stage.LEGACY
    assert decided(world, "confirm")


def test_a_slow_concurrent_path_reverts(world: World) -> None:
    """Twice the cycle time, no failure: reverted by the cycle time."""
    stream = begin(world)
    stream.days(2)
    stream.slow_concurrent = 2.0
    stream.until(lambda: bool(decided(world, "revert")), hours=24)
    assert "slower" in decided(world, "revert")[0].sentence
