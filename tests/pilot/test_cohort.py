"""The guards of a person's change and of an advance hold for the cohort's entry: another door."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from rollout.pilot.fleet import held_by_fleet, member_of
from rollout.pilot.trial import trial_from
from rollout.policy.policy import Cohort, Fleet, Freeze, Policies, Policy, Quiet
from rollout.routing.effects import Effects
from rollout.routing.stages import Event, Stage
from tests.builders import NAME
from tests.world import World

SECOND, THIRD, FOURTH = "refunds", "reminders", "credits"
EASY = Policy(drills_min=0, quiet=())
BILLING = Cohort(name="billing", members=(NAME, SECOND))


def follow(world: World, policies: Policies, *names: str) -> None:
    """Declare sub-pipelines and let the first ones of the cohorts graduate by hand."""
    world.runtime.policies = policies
    for name in names:
        world.ledger.ensure(name, Effects.COMMIT, 500, world.clock.now())
    world.runtime.tick.turn()
    change = world.runtime.changes.change
    for cohort in policies.cohorts:
        change(cohort.members[0], Event.START, "ada", "go")
        change(cohort.members[0], Event.SCOPE, "ada", "all", scope_bp=9_500)
        change(cohort.members[0], Event.GRADUATE, "ada", "proven by hand")


def turns(world: World, number: int = 3) -> list[str]:
    """Let some turns of the controller pass; gives what went wrong."""
    said: list[str] = []
    for _ in range(number):
        said += world.runtime.tick.turn().errors
        world.clock.advance(10)
    return said


def stages(world: World, *names: str) -> list[Stage]:
    """Where they stand."""
    return [world.ledger.control(name).stage for name in names]


@pytest.mark.parametrize(
    ("effects", "stage"), [(Effects.COMMIT, Stage.SHADOW), (Effects.UNSAFE, Stage.LEGACY)]
)
def test_a_cohort_puts_no_unsafe_paths_into_shadow(
    world: World, effects: Effects, stage: Stage
) -> None:
    """Its policy asks for shadow pairs; what cannot give them stays on legacy, and it is said."""
    world.ledger.ensure(SECOND, effects, 500, world.clock.now())
    asks = Policy(shadow_pairs_min=10, quiet=())
    follow(world, Policies(default=asks, cohorts=(BILLING,)), NAME)
    said = turns(world)
    assert world.ledger.control(SECOND).stage is stage
    refused = [one for one in said if "may not run beside the real job" in one]
    assert bool(refused) is (stage is Stage.LEGACY)
    assert len(refused) == len(said), "and nothing else went wrong"


@pytest.mark.parametrize("event", [Event.REVERT, Event.KILL])
def test_what_a_person_took_back_does_not_enter_again(world: World, event: Event) -> None:
    """A member that was reverted by hand stays on legacy until a person starts it again."""
    follow(world, Policies(default=EASY, cohorts=(BILLING,)), NAME, SECOND)
    turns(world)
    assert stages(world, SECOND) == [Stage.SPLIT]
    if event is Event.KILL:
        world.runtime.changes.kill(SECOND, "ada", "wrong totals")
        turns(world)
        world.runtime.changes.rearm(SECOND, "ada", "to take it back")
    world.runtime.changes.change(SECOND, Event.REVERT, "ada", "wrong totals")
    assert turns(world, 5) == []
    assert stages(world, SECOND) == [Stage.LEGACY]
    world.runtime.pilots.stop()  # another leader reads it from the ledger
    world.clock.advance(86_400)
    turns(world)
    assert stages(world, SECOND) == [Stage.LEGACY]
    world.runtime.changes.change(SECOND, Event.START, "ada", "mended")
    turns(world)
    assert stages(world, SECOND) == [Stage.SPLIT]


def test_nobody_enters_while_the_calendar_holds(world: World) -> None:
    """A freeze and a quiet time hold an entry as they hold every other advance."""
    now = world.clock.now().astimezone(UTC)
    frozen = Freeze(
        begin=now.replace(tzinfo=None), end=(now + timedelta(hours=1)).replace(tzinfo=None)
    )
    quiet = Quiet(days=("mon",), begin=f"{now:%H:%M}", end=f"{now + timedelta(hours=2):%H:%M}")
    held = EASY.model_copy(update={"freezes": (frozen,), "quiet": (quiet,)})
    follow(world, Policies(default=held, cohorts=(BILLING,)), NAME, SECOND)
    turns(world)
    assert stages(world, SECOND) == [Stage.LEGACY]
    world.clock.advance(3600)
    turns(world)
    assert stages(world, SECOND) == [Stage.LEGACY], "frozen no more, quiet still"
    world.clock.advance(3600)
    turns(world)
    assert stages(world, SECOND) == [Stage.SPLIT]


@pytest.mark.parametrize(
    ("policy", "fleet"),
    [
        (EASY.model_copy(update={"resource": "warehouse"}), Fleet()),
        (EASY, Fleet(advances_per_day_max=1)),
        (EASY, Fleet(splits_max=1)),
    ],
)
def test_two_cohorts_enter_one_at_a_time_where_the_fleet_says_so(
    world: World, policy: Policy, fleet: Fleet
) -> None:
    """Both may grow in the same turn; a limit of one lets one in, whichever is asked first."""
    other = Cohort(name="letters", members=(THIRD, FOURTH))
    policies = Policies(default=policy, fleet=fleet, cohorts=(BILLING, other))
    follow(world, policies, NAME, SECOND, THIRD, FOURTH)
    turns(world)
    assert sorted(stages(world, SECOND, FOURTH)) == [Stage.LEGACY, Stage.SPLIT]


def test_an_advance_that_was_reverted_was_one_of_the_day(world: World) -> None:
    """The limit of advances a day counts what the controller took back since."""
    policies = Policies(default=EASY, fleet=Fleet(advances_per_day_max=1), cohorts=(BILLING,))
    follow(world, policies, NAME, SECOND)
    turns(world)
    (row,) = [one for one in world.ledger.trial_rows() if one.columns["name"] == SECOND]
    entered, now = trial_from(row.columns, row.payload, EASY), world.clock.now()
    reverted = replace(entered, acted="revert", acted_at=now)
    members = {SECOND: member_of(world.ledger.control(SECOND), reverted)}
    said = held_by_fleet(NAME, members, policies, now)
    assert said == "1 advances in the last day (refunds), 1 are allowed."
    assert held_by_fleet(NAME, members, policies, now + timedelta(days=1)) is None
