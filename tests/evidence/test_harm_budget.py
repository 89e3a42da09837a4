"""The budget of extra bad jobs a week, and the margin that it leaves a step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadRate
from rollout.evidence.harm_budget import (
    ABSOLUTE,
    DEVIATIONS,
    JOBS_FLOOR,
    MARGIN_MAX,
    RATIO,
    SCORE_LIMIT,
    HarmBudget,
    automatic,
    budget_for,
    margin,
)
from rollout.evidence.looks import LOOKS_MAX, look_at, look_day
from rollout.evidence.promotion import score
from tests.evidence.vectors import BUDGET_VECTORS


def test_constants_are_the_vectors() -> None:
    """Every constant of the rule is the one that the vectors were made with."""
    assert BUDGET_VECTORS["constants"] == {
        "floor": JOBS_FLOOR,
        "sd": DEVIATIONS,
        "ratio": RATIO,
        "absolute": ABSOLUTE,
        "margin_max": MARGIN_MAX,
        "limit": -SCORE_LIMIT,
        "looks": LOOKS_MAX,
    }


def test_budget_vectors() -> None:
    """The automatic budget of every vector to 1e-9."""
    for vector in BUDGET_VECTORS["budget"]:
        found = automatic(vector["q"], vector["jobs_a_week"])
        assert found == pytest.approx(vector["budget"], rel=1e-9)


def test_margin_vectors() -> None:
    """The margin of every vector to 1e-9."""
    for vector in BUDGET_VECTORS["margin"]:
        found = margin(vector["budget"], vector["jobs_a_week"], vector["scope_next"])
        assert found.ratio == 1.0
        assert found.absolute == pytest.approx(vector["margin"], rel=1e-9)


def test_score_vectors() -> None:
    """z of every vector to 1e-9, what it proves, and what it does not contradict."""
    for vector in BUDGET_VECTORS["z_step"]:
        totals = Counts(
            vector["n_concurrent"], vector["k_concurrent"], vector["n_legacy"], vector["k_legacy"]
        )
        z = score(totals, Margin(1.0, vector["margin"]), vector["phi"])
        assert z == pytest.approx(vector["z"], rel=1e-9)
        assert z is not None
        assert (z <= SCORE_LIMIT) is vector["proved"]
        assert (z <= 0.0) is vector["not_contradicted"]


def test_look_vectors() -> None:
    """Looks come at bake and after every half bake; the last on day 56 of seven."""
    for vector in BUDGET_VECTORS["look_day"]:
        assert look_day(vector["look"], vector["bake_days"]) == vector["day"]
        assert look_at(vector["day"], vector["bake_days"]) == vector["look"]
    assert look_at(6.9, 7.0) == 0
    with pytest.raises(BadRate):
        look_day(0, 7.0)


@given(st.floats(0, 1), st.floats(1, 1e8), st.floats(0.01, 1.0), st.floats(1e-3, 1e6))
def test_a_margin_costs_the_budget_at_the_next_step(
    rate: float, jobs_a_week: float, share_next: float, budget: float
) -> None:
    """A path on the margin costs the budget at the next step and never more."""
    points = margin(budget, jobs_a_week, share_next).absolute
    assert points * jobs_a_week * share_next <= budget * (1 + 1e-9)
    assert automatic(rate, jobs_a_week) >= JOBS_FLOOR


def test_stated_budgets_come_before_the_automatic_ones() -> None:
    """A stated number of jobs is the budget; the other events keep theirs."""
    mine = budget_for(0.005, 7000, failed=10.0)
    assert mine.failed == 10.0
    assert mine.late == pytest.approx(91.17291264405236)
    assert mine.times(2.0).failed == 20.0
    for failed in (0.0, -1.0, float("nan")):
        with pytest.raises(BadRate, match="budget_failed"):
            budget_for(0.005, 7000, failed=failed)
    with pytest.raises(BadRate):
        HarmBudget(1.0, float("inf"), 1.0)
