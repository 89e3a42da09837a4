"""The controller's judgement on a real ledger and a hand-set clock: climb, hold, revert."""

from datetime import timedelta

from rollout.pilot.ports import DecisionRecord
from rollout.policy.plan import Plan, plan_for
from rollout.policy.policy import Policies, Policy
from rollout.policy.way import Baseline
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event, Stage
from rollout.wiring import Runtime
from tests.builders import NAME
from tests.stream import Stream
from tests.world import World

QUICK = Policy(drills_min=0, quiet=(), bake_days=7)
TWO_DAYS = QUICK.model_copy(update={"bake_days": 2, "budget_failed": 100.0, "budget_late": 150.0})
"""Two days a step, and a budget that two days of these jobs are enough to prove."""
WEEKS = QUICK.model_copy(update={"legacy_success_age_s_max": 86_400.0})
"""For weeks of few jobs: legacy's last commit may be as old as three turns make it."""
HOUR, HOURS_2, HOURS_8 = 3600.0, 7200.0, 28_800.0
"""Seconds between two turns where weeks pass: each turn takes in the windows since the last. Where
it counts that legacy has lately committed a job, no more than that may be between two."""


def use(world: World, policy: Policy) -> None:
    """Put a policy in force."""
    world.runtime.policies = Policies(default=policy)


def begin(world: World, policy: Policy = QUICK, scope_bp: int = 3200) -> Stream:
    """Declare a sub-pipeline, give it a week of legacy, and start it at this scope."""
    use(world, policy)
    world.ledger.ensure(NAME, Effects.COMMIT, 500, world.clock.now())
    stream = Stream(world)
    stream.tick_s = HOURS_2
    stream.days(2)
    stream.tick_s = 1800.0
    world.runtime.changes.change(NAME, Event.START, "ada", "go")
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "go", scope_bp=scope_bp)
    return stream


def decided(world: World, action: str) -> list[DecisionRecord]:
    """Decisions of one kind, oldest first."""
    return [one for one in reversed(world.ledger.decisions(NAME, 100)) if one.action == action]


def test_equal_paths_climb_one_step_when_it_is_baked(world: World) -> None:
    """No worse: after two full days, not before, the scope grows, by a recorded look."""
    stream = begin(world, TWO_DAYS)
    stream.tick_s = HOUR
    stream.days(1.9)
    assert world.ledger.control(NAME).scope_bp == 3200
    assert decided(world, "advance") == []
    stream.days(0.2)
    assert world.ledger.control(NAME).scope_bp == 5000
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


def test_a_revert_to_the_step_below_stays_there(world: World) -> None:
    """The harm that was answered is not held against the step below, which is judged anew."""
    back = {"revert_to": "previous_step", "ladder_bp": (1000, 2000, 3200)}
    stream = begin(world, QUICK.model_copy(update=back))
    stream.days(1)
    stream.fail_concurrent = 1.0
    stream.until(lambda: bool(decided(world, "revert")), hours=1)
    stream.fail_concurrent = 0.0
    stream.days(1)
    (made,) = decided(world, "revert")
    assert made.sentence.startswith("back to 2000 bp: ")
    assert world.ledger.control(NAME).scope_bp == 2000
    stream.fail_concurrent = 1.0
    stream.until(lambda: len(decided(world, "revert")) == 2, hours=1)
    assert decided(world, "revert")[1].sentence.startswith("back to 1000 bp: ")


def test_a_slow_concurrent_path_reverts(world: World) -> None:
    """Twice the cycle time, no failure: reverted by the cycle time."""
    stream = begin(world)
    stream.days(2)
    stream.slow_concurrent = 2.0
    stream.until(lambda: bool(decided(world, "revert")), hours=24)
    assert "slower" in decided(world, "revert")[0].sentence


def test_a_new_build_begins_the_step_anew(world: World) -> None:
    """What was learnt of the old build says nothing about the new one, on either path."""
    stream = begin(world)
    stream.days(1)
    (before,) = world.ledger.trial_rows()
    world.ledger.announce(NAME, JobPath.CONCURRENT, "2")
    stream.days(0.05)
    (after,) = world.ledger.trial_rows()
    assert after.columns["step"] == before.columns["step"] + 1
    assert sum(after.payload["evidence"]["errors"]["betting"]["scored"]) < 200
    assert sum(before.payload["evidence"]["errors"]["betting"]["scored"]) > 2_000


def test_a_late_tick_never_skips_a_step(world: World) -> None:
    """A controller that was away for a month decides once when it is back."""
    stream = begin(world, TWO_DAYS)
    stream.tick_s = HOUR
    stream.days(2.1)
    assert world.ledger.control(NAME).scope_bp == 5000
    world.clock.advance(30 * 86_400)
    stream.days(0.1)
    assert world.ledger.control(NAME).scope_bp <= 9_500
    assert len(decided(world, "advance")) <= 2


def test_one_controller_leads_and_a_standby_takes_over(world: World) -> None:
    """The standby neither beats nor decides; when the leader is gone it does both."""
    use(world, QUICK)
    world.ledger.ensure(NAME, Effects.COMMIT, 500, world.clock.now())
    assert world.runtime.tick.turn().leads
    other = Runtime(world.runtime.settings, clock=world.clock)
    other.queues, other.control = world.runtime.queues, world.control
    other.policies = world.runtime.policies
    other.__dict__["_owner"] = "another"
    assert not other.tick.turn().leads
    world.clock.advance(world.runtime.settings.supervision_s * 0.6)
    assert other.tick.turn().leads
    assert world.control.read(NAME).supervised
    assert not world.runtime.tick.turn().leads
    other.close()


def test_a_controller_of_the_same_host_and_process_id_is_another_one(world: World) -> None:
    """In containers both are process 1, and a pod that is put up anew has the old one's name."""
    first = world.runtime.tick.turn()
    other = Runtime(world.runtime.settings, clock=world.clock)
    other.queues, other.control = world.runtime.queues, world.control
    other.policies = world.runtime.policies
    assert first.leads
    assert not other.tick.turn().leads
    other.close()


def test_a_leader_that_stops_hands_over_at_once(world: World) -> None:
    """A restart costs no supervision."""
    world.runtime.tick.turn()
    world.runtime.tick.stop()
    assert world.ledger.take_lease("another", world.clock.now(), timedelta(seconds=6)) == 2


def test_a_hundred_jobs_a_day_climb_as_planned(world: World) -> None:
    """Few jobs can do little harm: the step is proven by the day that the plan gave."""
    stream = begin(world, WEEKS, scope_bp=2500)
    stream.jobs_a_day, stream.tick_s = 100, HOURS_8
    (step,) = [one for one in plan_of(700).steps if one.scope_bp == 2500]
    assert step.days_nine is not None
    stream.days(step.days_nine + 1)
    assert world.ledger.control(NAME).scope_bp == 5000


def test_a_budget_that_cannot_be_proved_holds_as_the_plan_said(world: World) -> None:
    """One failed and one late job a week: the plan sends it to a person, and so it comes."""
    policy = WEEKS.model_copy(update={"budget_failed": 1.0, "budget_late": 1.0})
    assert plan_of(700, policy).hardly
    stream = begin(world, policy, scope_bp=2500)
    stream.jobs_a_day, stream.tick_s = 100, HOURS_8
    stream.days(57)
    assert world.ledger.control(NAME).scope_bp == 2500
    assert decided(world, "advance") == []
    assert "looks" in decided(world, "hold")[-1].window


def plan_of(jobs_a_week: float, policy: Policy = QUICK) -> Plan:
    """The plan of this traffic; nothing fails on legacy."""
    return plan_for(policy, Baseline(jobs_a_week), 500, None, 300)


def test_a_path_on_which_everything_fails_on_both_is_not_promoted(world: World) -> None:
    """The input is to blame: nothing reverts, nothing grows when a good path would have grown."""
    stream = begin(world, TWO_DAYS)
    stream.fail_concurrent = stream.fail_legacy = 1.0
    stream.both, stream.tick_s = True, HOUR
    stream.days(2.3)
    assert world.ledger.control(NAME).scope_bp == 3200
    assert decided(world, "revert") == []
