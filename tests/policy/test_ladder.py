"""The ladder: the first, the next and the previous step, under caps and holdbacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.policy import ladder
from rollout.policy.policy import Policies, Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import BP_ALL, Event
from tests.builders import split

POLICY = Policy()
LADDERS = st.lists(st.integers(1, BP_ALL), min_size=1, max_size=9, unique=True).map(sorted)


@given(LADDERS, st.integers(0, BP_ALL), st.integers(0, BP_ALL))
def test_steps_lead_up_and_down_again(steps: list[int], cap_bp: int, holdback_bp: int) -> None:
    """From nothing `next` climbs every step once and `previous` comes back the same way."""
    policy = Policy(ladder_bp=tuple(steps), scope_bp_max=cap_bp)
    taken = ladder.steps_bp(policy, holdback_bp)
    climbed, at = [], 0
    while (above := ladder.next_bp(policy, at, holdback_bp)) is not None:
        climbed.append(above)
        at = above
    assert tuple(climbed) == taken
    assert ladder.first_bp(policy, holdback_bp) == (taken[0] if taken else None)
    assert all(0 < one <= min(cap_bp, BP_ALL - holdback_bp) for one in taken)
    back = [ladder.previous_bp(policy, one, holdback_bp) for one in taken]
    assert back == [None, *taken][: len(taken)]


@pytest.mark.parametrize(
    ("scope_bp", "above", "below"),
    [(50, 310, None), (310, 625, None), (400, 625, 310), (5000, 9000, 2500), (9000, None, 5000)],
)
def test_a_scope_set_by_hand_lies_between_steps(
    scope_bp: int, above: int | None, below: int | None
) -> None:
    """Its neighbours are steps of the ladder."""
    assert ladder.next_bp(POLICY, scope_bp, 500) == above
    assert ladder.previous_bp(POLICY, scope_bp, 500) == below


def test_a_trial_may_begin_at_a_scope_of_its_own() -> None:
    """The steps above it follow."""
    assert ladder.steps_from(POLICY, 500, 3000) == (3000, 5000, 9000)
    assert ladder.steps_from(POLICY, 500, None) == ladder.steps_bp(POLICY, 500)


def test_a_step_is_a_doubling_where_it_is_one() -> None:
    """So that the history shows the event that a person would have given."""
    assert ladder.growth(split(200), 400) is Event.DOUBLE
    assert ladder.growth(split(200), 500) is Event.SCOPE
    assert ladder.growth(split(6400), 9500) is Event.DOUBLE, "as far as the holdback lets it"


def test_the_top_of_a_capped_ladder_is_not_the_top() -> None:
    """A pilot at the policy's cap does not graduate; one at the holdback's edge does."""
    capped = Policy(scope_bp_max=400)
    assert ladder.is_capped(capped, split(400))
    assert not ladder.is_capped(capped, split(200))
    assert not ladder.is_capped(POLICY, split(9000))
    assert ladder.is_capped(Policy(scope_bp_max=9200), split(9200)), "it would graduate to 95 %"


def test_policies_are_read_when_the_first_start_asks() -> None:
    """A kill builds the same service and must not wait for a file."""
    read: list[str] = []

    def policies() -> Policies:
        read.append("policies")
        return Policies(sub_pipelines={"invoices": Policy(ladder_bp=(700,))})

    steps = ladder.FirstSteps(policies)
    assert read == []
    assert (steps.first_bp("invoices", 500), steps.first_bp("other", 500)) == (700, 310)
    known = ladder.FirstSteps(policies, lambda name: Baseline(700.0))
    assert known.first_bp("other", 500) == 1250, "a hundred a day begin where jobs are"
