"""Healthy pilots drawn at one step: when they prove it."""

from __future__ import annotations

import numpy as np
import pytest

from ops.evidence.scores import scores
from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadRate
from rollout.evidence.harm_budget import automatic, budget_for, margin
from rollout.evidence.promotion import score
from rollout.evidence.step_odds import Margins, odds, passes, poisson, uniform
from tests.evidence.vectors import BUDGET_VECTORS


def test_expected_scores() -> None:
    """The score of expected counts is that of every vector, to 1e-9."""
    for vector in BUDGET_VECTORS["expected_z"]:
        q, jobs, share = vector["q"], vector["jobs_a_week"], vector["scope"]
        points = margin(automatic(q, jobs), jobs, vector["scope_next"]).absolute
        n, m = (np.array([part * jobs * vector["weeks"]]) for part in (share, 1 - share))
        z = float(scores(q * n, n, q * m, m, points)[0])
        assert z == pytest.approx(vector["z"], rel=1e-9)


def test_scores_are_those_of_the_judgement() -> None:
    """Many totals at once give what `promotion.score` gives one by one, and 0 where it has none."""
    totals = [Counts(219, 1, 6781, 34), Counts(0, 0, 10, 1), Counts(12, 0, 688, 2)]
    k, n, j, m = (
        np.array([getattr(one, name) for one in totals], dtype=np.float64)
        for name in ("k_concurrent", "n_concurrent", "k_legacy", "n_legacy")
    )
    together = scores(k, n, j, m, 0.05)
    for counts, z in zip(totals, together.tolist(), strict=True):
        single = score(counts, Margin(1.0, 0.05))
        assert z == pytest.approx(single or 0.0)
        k_new, n_new = counts.k_concurrent, counts.n_concurrent
        for limit in (-2.35, 0.0):
            passed = passes(k_new, n_new, counts.k_legacy, counts.n_legacy, 0.05, limit)
            assert passed is (single is not None and single <= limit)


def test_a_thousand_jobs_a_day_prove_half_of_them() -> None:
    """The strictest step of the method's pipeline: most need a second week, none a person."""
    budget = budget_for(0.005, 7000)
    points = [margin(one, 7000, 0.9).absolute for one in (budget.failed, budget.late, budget.slow)]
    (found,) = odds(7000, 0.5, 0.005, [Margins(*points)])
    assert 0.15 < found.by(7.0) < 0.6
    assert found.day(0.5) <= 14.0
    assert found.proven == 1.0
    (last,) = odds(7000, 0.5, 0.005, [Margins(*points)], last=True)
    assert last.by(7.0) > 0.8


def test_a_budget_that_traffic_cannot_prove() -> None:
    """One extra failure a week is not shown by 1,000 jobs a day: most need a person."""
    points = margin(1.0, 7000, 0.9).absolute
    (found,) = odds(7000, 0.5, 0.005, [Margins(points, 0.25, 0.25)])
    assert found.proven < 0.5
    assert found.day(0.9) == float("inf")


def test_the_same_seed_draws_the_same_pilots() -> None:
    """A plan printed twice is the same plan."""
    one, other = (odds(700, 0.125, 0.005, [Margins(0.07, 0.2, 0.2)]) for _ in range(2))
    assert one == other
    with pytest.raises(BadRate):
        odds(700, 0.0, 0.005, [Margins(0.07, 0.2, 0.2)])


@pytest.mark.parametrize("mean", [0.2, 5.0, 29.0, 31.0, 4000.0])
def test_counts_are_poisson(mean: float) -> None:
    """Mean and variance of 4,000 drawn counts, on both sides of where the drawing changes."""
    draw = uniform(9)
    counts = np.array([poisson(draw, mean) for _ in range(4000)])
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / 4000))
    assert counts.var() == pytest.approx(mean, rel=0.12)
    assert poisson(draw, 0.0) == 0
