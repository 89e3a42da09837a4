"""The guards of a person's change hold for the cohort's entry, which is another door."""

import pytest

from rollout.policy.policy import Cohort, Policies, Policy
from rollout.routing.effects import Effects
from rollout.routing.stages import Event, Stage
from tests.builders import NAME
from tests.world import World

SECOND = "refunds"


@pytest.mark.parametrize(
    ("effects", "stage"), [(Effects.COMMIT, Stage.SHADOW), (Effects.UNSAFE, Stage.LEGACY)]
)
def test_a_cohort_puts_no_unsafe_paths_into_shadow(
    world: World, effects: Effects, stage: Stage
) -> None:
    """Its policy asks for shadow pairs; what cannot give them stays on legacy, and it is said."""
    world.runtime.policies = Policies(
        default=Policy(shadow_pairs_min=10, quiet=()),
        cohorts=(Cohort(name="billing", members=(NAME, SECOND)),),
    )
    for name, own in ((NAME, Effects.COMMIT), (SECOND, effects)):
        world.ledger.ensure(name, own, 500, world.clock.now())
    change = world.runtime.changes.change
    change(NAME, Event.START, "ada", "go")
    change(NAME, Event.SCOPE, "ada", "all", scope_bp=9_500)
    change(NAME, Event.GRADUATE, "ada", "proven by hand")
    said: list[str] = []
    for _ in range(3):
        said += world.runtime.tick.turn().errors
        world.clock.advance(10)
    assert world.ledger.control(SECOND).stage is stage
    refused = [one for one in said if "may not run beside the real job" in one]
    assert bool(refused) is (stage is Stage.LEGACY)
    assert len(refused) == len(said), "and nothing else went wrong"
