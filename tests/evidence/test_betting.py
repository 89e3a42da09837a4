"""The likelihood of a block: exact values, and fair or worse for the bettor under H0."""

from __future__ import annotations

from itertools import pairwise
from math import comb, exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.betting import Bet, Family, Margin, log_likelihood
from rollout.evidence.counts import Counts
from rollout.evidence.cycle_time import MEDIAN, TAIL
from rollout.evidence.error_rate import BETS
from rollout.evidence.errors import BadCounts, BadProcess, BadRate
from rollout.evidence.fast_path import CORROBORATION
from tests.evidence.vectors import VECTORS

EVERY_BET = (*BETS, *CORROBORATION.bets, *MEDIAN.bets, *TAIL.bets)
MARGINS = (Margin(), Margin(1.10, 0.0005), Margin(1.25, 0.001), Margin(1.5, 0.0025))


def test_vectors() -> None:
    """ln L of every single block of the vectors, to 1e-9."""
    for vector in VECTORS["single"]:
        margin = Margin(vector["r"], vector["d"] * vector["r"])
        block = Counts(vector["n_n"], vector["k_n"], vector["n_o"], vector["k_o"])
        found = log_likelihood(Family(vector["fam"]), vector["par"], margin, block)
        assert found == pytest.approx(vector["logL"], rel=1e-9)


@given(
    st.sampled_from(EVERY_BET),
    st.sampled_from(MARGINS),
    st.integers(1, 7),
    st.integers(1, 7),
    st.floats(0.0, 1.0),
    st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
)
def test_wealth_does_not_grow_on_average_within_the_margin(
    bet: Bet, margin: Margin, n: int, m: int, p_legacy: float, share: float
) -> None:
    """E[L] <= 1 by summing over every outcome, up to and on the boundary of the margin."""
    p = share * margin.harmless(p_legacy)
    total = 0.0
    for k in range(n + 1):
        for j in range(m + 1):
            chance = comb(n, k) * p**k * (1 - p) ** (n - k)
            chance *= comb(m, j) * p_legacy**j * (1 - p_legacy) ** (m - j)
            total += chance * exp(
                log_likelihood(bet.family, bet.parameter, margin, Counts(n, k, m, j))
            )
    assert total <= 1 + 1e-12


@given(st.sampled_from(MARGINS), st.floats(0.0, 1.0))
def test_promotion_limit_is_hardly_above_the_harmless_rate(margin: Margin, rate: float) -> None:
    """The two readings of "r times legacy plus delta" differ by delta x legacy at most."""
    between = margin.limit(rate) - margin.harmless(rate)
    assert -1e-12 <= between <= margin.absolute * rate + 1e-12


@given(st.sampled_from(EVERY_BET), st.sampled_from(MARGINS), st.integers(1, 40), st.integers(1, 40))
def test_a_concurrent_failure_never_lowers_wealth(bet: Bet, margin: Margin, n: int, m: int) -> None:
    """More concurrent hits raise L, and more legacy hits lower it or leave it."""
    logs = [
        log_likelihood(bet.family, bet.parameter, margin, Counts(n, k, m, 0)) for k in range(n + 1)
    ]
    assert logs == sorted(logs)
    logs = [
        log_likelihood(bet.family, bet.parameter, margin, Counts(n, 0, m, j)) for j in range(m + 1)
    ]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(logs))


def test_a_block_without_a_path_is_refused() -> None:
    """Nothing is compared when one path has no jobs."""
    with pytest.raises(BadCounts, match="merge ticks"):
        log_likelihood(Family.RATIO, 5.0, Margin(), Counts(0, 0, 6, 0))


@pytest.mark.parametrize(
    ("family", "parameter", "weight"),
    [
        (Family.RATIO, 1.0, 0.5),
        (Family.RATIO, float("nan"), 0.5),
        (Family.HALF, 1.0, 0.5),
        (Family.SUCCESS, 0.0, 0.5),
        (Family.RATIO, 5.0, 0.0),
        (Family.RATIO, 5.0, float("nan")),
    ],
)
def test_a_negative_stake_is_refused(family: Family, parameter: float, weight: float) -> None:
    """A parameter on which the guarantee would not hold raises BadProcess."""
    with pytest.raises(BadProcess):
        Bet(family, parameter, weight)


@pytest.mark.parametrize("margin", [(0.9, 0.0), (1.0, -0.1), (float("nan"), 0.0), (1.0, 1.0)])
def test_a_margin_that_is_none_is_refused(margin: tuple[float, float]) -> None:
    """A margin under 1, or with an absolute part outside 0..1, raises BadRate."""
    with pytest.raises(BadRate):
        Margin(*margin)
