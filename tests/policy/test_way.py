"""Which steps a traffic can use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.policy.way import JOBS_A_WEEK_MIN, SURE_BP, at_stake, steps_for
from tests.evidence.vectors import BUDGET_VECTORS

LADDER_BP = (313, 625, 1250, 2500, 5000, 9500)
"""That of the vectors, whose first step is 3.125 %."""


def test_vectors() -> None:
    """The steps of every vector, to a basis point."""
    for vector in BUDGET_VECTORS["ladder"]:
        found = steps_for(
            LADDER_BP,
            vector["jobs_a_week"],
            vector["failure_budget"],
            shadowed=vector["shadowed"],
        )
        assert [one / 10_000 for one in found] == pytest.approx(vector["steps"], abs=6e-5)


def test_it_begins_lower_when_the_budget_is_smaller_than_a_total_failure() -> None:
    """A million jobs a day and twenty failures a week: five minutes at 3 % would cost 119."""
    steps = steps_for(LADDER_BP, 7e6, 20.0, shadowed=False)
    assert steps[0] < 313
    assert at_stake(7e6, steps[0]) <= 20.0
    assert steps[-1] == 9500


@given(st.floats(1, 1e9), st.floats(0.5, 1e6), st.booleans())
def test_every_way_grows_to_the_top(jobs: float, budget: float, shadowed: bool) -> None:
    """Whatever the traffic, the steps grow and end where the ladder ends."""
    steps = steps_for(LADDER_BP, jobs, budget, shadowed=shadowed)
    assert list(steps) == sorted(set(steps))
    assert steps[-1] == 9500
    assert all(step >= SURE_BP or jobs * step / 10_000 >= JOBS_A_WEEK_MIN for step in steps)
