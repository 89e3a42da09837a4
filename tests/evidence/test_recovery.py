"""Paired drills pass on proof alone; slow recoveries and lost jobs revert."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.errors import BadDuration, BadRate
from rollout.evidence.recovery import finding, sign_flip
from rollout.evidence.recovery_watch import RecoveryWatch, is_slow
from rollout.evidence.verdict import Verdict
from tests.evidence.vectors import VECTORS

FASTER = DrillPair(5.0, 10.0, 600.0)
CENSORED = DrillPair(600.0, 600.0, 600.0)


def test_vectors() -> None:
    """The p-value of every vector, to 1e-9."""
    for vector in VECTORS["signflip"]:
        assert sign_flip(vector["d"]) == pytest.approx(vector["p"], rel=1e-9)


@settings(max_examples=15)
@given(st.lists(st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=7))
def test_p_value_counts_every_flip(differences: list[float]) -> None:
    """The p-value is the share of sign flips whose sum is no larger than the one seen."""
    magnitudes = [abs(x) for x in differences]
    sums = [
        sum(s * x for s, x in zip(signs, magnitudes, strict=True))
        for signs in product((-1, 1), repeat=len(magnitudes))
    ]
    share = sum(total <= sum(differences) + 1e-9 for total in sums) / len(sums)
    assert sign_flip(differences) == pytest.approx(share)


@settings(max_examples=10)
@given(st.lists(st.integers(-200, 200), min_size=2, max_size=8))
def test_p_value_is_scipys(sixtyfourths: list[int]) -> None:
    """The library's exact test gives the same, ties included (these sums have no rounding)."""
    differences = [number / 64 for number in sixtyfourths]
    tested = permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        alternative="less",
        vectorized=True,
    )
    assert sign_flip(differences) == pytest.approx(float(tested.pvalue))


def test_six_faster_drills_pass_and_five_do_not() -> None:
    """Five pairs cannot be told from chance: INSUFFICIENT."""
    assert finding([FASTER] * 6, 1.5).verdict is Verdict.PASS
    assert finding([FASTER] * 5, 1.5).verdict is Verdict.INSUFFICIENT
    assert finding([], 1.5).verdict is Verdict.INSUFFICIENT


def test_equal_recovery_passes_by_the_ratio() -> None:
    """The ladder's ratio is the margin: as fast as legacy is fast enough, twice as slow is not."""
    equal, slow = DrillPair(10.0, 10.0, 600.0), DrillPair(20.0, 10.0, 600.0)
    assert finding([equal] * 6, 1.25).verdict is Verdict.PASS
    assert finding([slow] * 12, 1.5).verdict is Verdict.INSUFFICIENT


def test_detectable_ratio_is_where_the_drills_would_just_pass() -> None:
    """Six drills at half of legacy's time rule out any ratio over .5, and five rule out nothing."""
    found = finding([FASTER] * 6, 1.5)
    assert found.detectable == pytest.approx(0.5, rel=1e-3)
    assert finding([FASTER] * 5, 1.5).detectable is None


def test_pairs_in_which_neither_recovered_do_not_count() -> None:
    """Two caps compare nothing, so they neither help nor fill up the six."""
    assert finding([FASTER] * 5 + [CENSORED] * 5, 1.5).verdict is Verdict.INSUFFICIENT
    found = finding([FASTER] * 6 + [CENSORED] * 5, 1.5)
    assert (found.verdict, found.n_concurrent) == (Verdict.PASS, 6)


def test_many_pairs_stay_exact() -> None:
    """Beyond 13 pairs the latest 13 count, each of whose 8,192 flips is tried."""
    found = finding([FASTER] * 40, 1.5)
    assert found.n_concurrent == 13
    assert found.value == pytest.approx(2.0**-13)


@pytest.mark.parametrize(
    "times",
    [
        (0.0, 1.0, 60.0),
        (float("nan"), 1.0, 60.0),
        (61.0, 1.0, 60.0),
        (1.0, -1.0, 60.0),
        (1.0, 1.0, float("inf")),
    ],
)
def test_impossible_drills_are_refused(times: tuple[float, float, float]) -> None:
    """Zero, NaN, negative times and times beyond the cap raise BadDuration."""
    with pytest.raises(BadDuration, match="use the cap"):
        DrillPair(*times)


def test_what_cannot_be_scored_is_refused() -> None:
    """No differences, one that is no number, and a ratio under 1 raise."""
    for differences in ([], [float("nan")], [0.1] * 14):
        with pytest.raises(BadDuration):
            sign_flip(differences)
    with pytest.raises(BadRate):
        finding([FASTER] * 6, 0.9)


def test_slow_recoveries_revert() -> None:
    """A few recoveries of over three legacy medians are an alarm; one is not."""
    watch = RecoveryWatch.fresh().change_scope()
    assert watch.finding().verdict is Verdict.INSUFFICIENT
    watch = watch.observe(1, int(is_slow(31.0, 10.0)), 3600.0)
    assert watch.finding().verdict is Verdict.INSUFFICIENT
    for _ in range(3):
        watch = watch.observe(1, 1, 3600.0)
    assert watch.finding().verdict is Verdict.REGRESS
    assert RecoveryWatch.from_json(json.loads(json.dumps(watch.to_json()))) == watch


def test_quick_recoveries_do_not() -> None:
    """One slow recovery in twenty is what the test allows for."""
    watch = RecoveryWatch.fresh().change_scope()
    for _ in range(100):
        watch = watch.observe(19, 0, 3600.0).observe(1, 1, 3600.0)
    assert watch.finding().verdict is Verdict.PASS
    assert not is_slow(30.0, 10.0)


def test_lost_job_reverts_at_once() -> None:
    """A lost job needs no statistics, and a new step does not forgive it."""
    watch = RecoveryWatch.fresh().fail().change_scope()
    assert watch.finding().verdict is Verdict.REGRESS


@pytest.mark.parametrize("times", [(-1.0, 1.0), (float("nan"), 1.0), (1.0, 0.0)])
def test_impossible_recovery_is_refused(times: tuple[float, float]) -> None:
    """A recovery or a median that cannot be raises BadDuration."""
    with pytest.raises(BadDuration):
        is_slow(*times)
