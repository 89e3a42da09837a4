"""Too small a sub-pipeline is told so, with numbers."""

from __future__ import annotations

from math import fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from rollout.evidence.errors import BadCounts, BadRate
from rollout.evidence.margins import LADDER
from rollout.evidence.sizing import (
    _convolved,
    _failures_in,
    failures_allowed,
    jobs_needed,
    pass_chance,
)

FIRST = LADDER[0][1].error


def test_350_jobs_a_week_pass_36_percent_by_week_4() -> None:
    """The method's own example, and the 7,000 that are enough in one week."""
    assert pass_chance(350, 34_650, 0.005, FIRST, 4) == pytest.approx(0.36, abs=0.005)
    assert pass_chance(7000, 693_000, 0.005, FIRST, 1) > 0.99


def test_more_jobs_and_more_looks_help() -> None:
    """The chance grows with either, and the number needed reaches the chance asked for."""
    chances = [pass_chance(jobs, 99 * jobs, 0.005, FIRST, 2) for jobs in (350, 1000, 3000)]
    assert chances == sorted(chances)
    needed = jobs_needed(0.005, FIRST, 0.01)
    assert needed is not None
    assert pass_chance(needed, 99 * needed, 0.005, FIRST, 1) >= 0.95
    by_week_four = jobs_needed(0.005, FIRST, 0.01, weeks=4)
    assert by_week_four is not None
    assert by_week_four < needed


def test_no_number_of_failures_passes_with_a_handful_of_jobs() -> None:
    """Ten jobs a week prove nothing even without a failure."""
    assert failures_allowed(10, 990, 0.005, FIRST) == -1
    assert pass_chance(10, 990, 0.005, FIRST, 4) == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_is_refused() -> None:
    """No jobs, a rate over 1, a fifth look and a share of 0 raise."""
    with pytest.raises(BadCounts):
        pass_chance(0, 100, 0.005, FIRST, 1)
    for rate, weeks in ((1.1, 1), (float("nan"), 1), (0.005, 5), (0.005, 0)):
        with pytest.raises(BadRate):
            pass_chance(100, 100, rate, FIRST, weeks)
    with pytest.raises(BadRate):
        jobs_needed(0.005, FIRST, 0.0)


def test_a_rate_next_to_nothing_is_none() -> None:
    """The smallest numbers a float can hold do not overflow."""
    for rate in (5e-324, 2.3e-308, 1e-100):
        assert pass_chance(3000, 297_000, rate, FIRST, 4) == pass_chance(
            3000, 297_000, 0.0, FIRST, 4
        )


@given(
    jobs=st.integers(1, 20_000),
    rate=st.floats(1e-6, 1.0) | st.sampled_from([0.0, 1e-15, 0.5, 1 - 1e-12]),
)
def test_the_distribution_of_failures_is_scipys(jobs: int, rate: float) -> None:
    """Each chance agrees to ten digits, and what is left out is next to nothing."""
    first, chances = _failures_in(jobs, rate)
    counts = np.arange(first, first + len(chances))
    assert chances == pytest.approx(binom.pmf(counts, jobs, rate), rel=1e-9, abs=1e-15)
    assert fsum(chances) == pytest.approx(1.0, abs=1e-12)


def test_a_sum_of_counts_is_convolved_as_numpy_does() -> None:
    """Three distributions of unequal length."""
    one, other = _failures_in(350, 0.005)[1], _failures_in(700, 0.01)[1]
    for left, right in ((one, other), (other, one), ([1.0], one), (one, [1.0])):
        assert _convolved(left, right) == pytest.approx(np.convolve(left, right), abs=1e-15)
