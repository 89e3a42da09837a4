"""Pairs prove a ratio of times, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from rollout.evidence.budget_proof import pairs_finding
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.errors import BadDuration, BadRate
from rollout.evidence.pair_wealth import PROVEN_AT, peak, proven_at, wealth
from rollout.evidence.verdict import Verdict
from tests.evidence.vectors import BUDGET_VECTORS


def test_vectors() -> None:
    """The wealth after each number of pairs to 1e-9, and the pair that proved it."""
    for vector in BUDGET_VECTORS["pair_e"]:
        ratios, m, scales = vector["ratios"], vector["limit_ratio"], vector["scales"]
        for pairs, expected in vector["e_after"].items():
            found = wealth(ratios[: int(pairs)], m, scales)
            assert found == pytest.approx(expected, rel=1e-9)
        assert proven_at(ratios, m, scales) == vector["proved_at"]


def test_on_the_margin_it_is_seldom_proven() -> None:
    """Of 4,000 paths that take exactly twice as long at most one in 20 is ever proven."""
    rng = np.random.default_rng(3)
    pairs = 2.0 * np.exp(rng.normal(0.0, 0.3, (4000, 13)))
    assert np.mean([proven_at(one) is not None for one in pairs.tolist()]) <= 1 / PROVEN_AT


def test_what_was_proven_once_stays_proven() -> None:
    """A build proves once how it heals: a slow pair at a later step does not take that back."""
    equal = [1.0] * 6
    assert peak(equal) >= PROVEN_AT
    assert wealth([*equal, 4.5]) < PROVEN_AT <= peak([*equal, 4.5])
    assert peak([]) == 1.0


def test_a_build_that_has_proven_it_need_not_again() -> None:
    """Six equal pairs pass, and go on passing after a slow seventh; fewer say how many more."""
    equal = [DrillPair(8.0, 8.0, 600.0)] * 6
    slow = DrillPair(36.0, 8.0, 600.0)
    assert pairs_finding("recovery", equal).verdict is Verdict.PASS
    assert pairs_finding("recovery", [*equal, slow]).verdict is Verdict.PASS
    early = pairs_finding("recovery", equal[:2])
    assert early.verdict is Verdict.INSUFFICIENT
    assert "about 4 more like them would" in early.sentence
    assert "too slowly" in pairs_finding("recovery", [slow]).sentence


def test_no_pair_proves_nothing() -> None:
    """Without pairs the wealth is the stake."""
    assert wealth([]) == 1.0
    assert proven_at([]) is None


def test_what_cannot_be_a_ratio() -> None:
    """A time of nothing and a margin of nothing are refused."""
    for ratio in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadDuration):
            wealth([ratio])
    with pytest.raises(BadRate):
        wealth([1.0], ratio_max=0.0)
    with pytest.raises(BadRate):
        wealth([1.0], scales=())
