"""The paired test of times: what it finds, what it leaves alone, and what it says of the place."""

from __future__ import annotations

import json
import random
from itertools import product
from math import exp, tanh
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.errors import BadDuration, BadState
from rollout.evidence.paired_time import (
    PAIRS_KEPT,
    SCALES,
    TIME_ALPHA,
    TIME_MARGIN,
    PairedTime,
    detectable,
    prior_factor,
    settle,
)
from rollout.evidence.verdict import Verdict

HOUR_S = 3_600.0


def after(
    pairs: int, ratio: float, noise: float = 0.05, again: int = 0, place: float = 1.0, seed: int = 1
) -> PairedTime:
    """Run both paths on jobs whose lengths differ wildly."""
    chance = random.Random(seed)
    state = PairedTime()
    for _ in range(pairs):
        job = exp(chance.gauss(0, 1))
        concurrent_s = job * ratio * exp(chance.gauss(0, noise))
        state = state.observe(job * exp(chance.gauss(0, noise)), concurrent_s, HOUR_S)
    for _ in range(again):
        job = exp(chance.gauss(0, 1))
        state = state.observe_again(job, job * place * exp(chance.gauss(0, noise)))
    return state


def test_a_quarter_slower_is_found_in_twenty_pairs() -> None:
    """Jobs between 0.1 and 10 seconds, on which an unpaired test sees nothing."""
    finding = after(20, 1.25).finding()
    assert finding.verdict is Verdict.REGRESS
    assert finding.value is not None
    assert finding.value >= finding.limit == 1 / TIME_ALPHA
    assert "slower than the margin of 1.05" in finding.sentence


@pytest.mark.parametrize("ratio", [0.5, 1.0, TIME_MARGIN - 0.02])
def test_a_path_within_the_margin_passes(ratio: float) -> None:
    """With the slow-down that these pairs would have shown."""
    finding = after(60, ratio, again=10).finding()
    assert finding.verdict is Verdict.PASS
    assert finding.detectable is not None
    assert TIME_MARGIN < finding.detectable < 1.3
    assert (finding.n_concurrent, finding.n_legacy) == (60, 10)


@pytest.mark.parametrize("pairs", [0, 1, 3])
def test_too_few_pairs_say_nothing(pairs: int) -> None:
    """Nothing could have shown."""
    assert after(pairs, 1.0).finding().verdict is Verdict.INSUFFICIENT


def test_a_regression_stays() -> None:
    """Later fast pairs do not undo it."""
    state = after(20, 1.5)
    for _ in range(200):
        state = state.observe(1.0, 0.5, HOUR_S)
    assert state.finding().verdict is Verdict.REGRESS


def test_a_path_that_becomes_slow_later_is_found() -> None:
    """Stake keeps arriving, so that healthy weeks do not make the test blind."""
    state = PairedTime()
    for _ in range(300):
        state = state.observe(1.0, 0.9, HOUR_S)
    for _ in range(40):
        state = state.observe(1.0, 1.6, HOUR_S)
    assert state.latched


def test_a_slower_place_is_told_from_a_slower_path() -> None:
    """Legacy itself, run again in the shadow, is as slow: the measurement is broken."""
    finding = after(40, 1.4, again=20, place=1.4).finding()
    assert finding.verdict is Verdict.ERROR
    assert "the shadow worker's place is slower" in finding.sentence


def test_a_slower_path_in_a_slower_place_is_found() -> None:
    """What the place does not explain is the path's."""
    assert after(40, 2.0, again=20, place=1.4).finding().verdict is Verdict.REGRESS


def test_warm_caches_do_not_pass_a_slow_path() -> None:
    """As fast as legacy's first run, but legacy's second is twice as fast."""
    finding = after(60, 1.0, again=20, place=0.5).finding()
    assert finding.verdict is Verdict.INSUFFICIENT
    assert "warm caches" in finding.sentence


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=6), st.floats(-2.0, 0.0))
def test_no_symmetric_sample_makes_wealth_on_average(spreads: list[float], centre: float) -> None:
    """The promise itself: over all signs, wealth is at most what was staked."""
    total = 0.0
    for signs in product((-1, 1), repeat=len(spreads)):
        wealth = (1.0,) * len(SCALES)
        for sign, spread in zip(signs, spreads, strict=True):
            wealth = settle(wealth, 0.0, centre + sign * spread)
        total += sum(wealth) / len(SCALES)
    assert total / 2 ** len(spreads) <= 1.0 + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.booleans()), max_size=20))
def test_storing_between_pairs_changes_nothing(pairs: list[tuple[float, float, bool]]) -> None:
    """And the statistic stays a number."""
    state = stored = PairedTime()
    for legacy_s, other_s, again in pairs:
        if again:
            state = state.observe_again(legacy_s, other_s)
            stored = stored.observe_again(legacy_s, other_s)
        else:
            state = state.observe(legacy_s, other_s, 1.0)
            stored = stored.observe(legacy_s, other_s, 1.0)
        stored = PairedTime.from_json(json.loads(json.dumps(stored.to_json())))
    assert stored == state
    assert 0.0 <= state.statistic <= 1e12


def test_the_stored_state_is_bounded() -> None:
    """However many pairs there were."""
    state = after(3 * PAIRS_KEPT, 1.0, again=2 * PAIRS_KEPT)
    assert len(json.dumps(state.to_json())) < 4_096
    assert (state.pairs, state.again) == (300, 200)


@pytest.mark.parametrize(
    ("legacy_s", "other_s"), [(float("nan"), 1), (1, float("inf")), (-1, 1), (1, -0.1)]
)
def test_times_that_cannot_be_are_refused(legacy_s: float, other_s: float) -> None:
    """The state stays as it was."""
    state = PairedTime()
    with pytest.raises(BadDuration):
        state.observe(legacy_s, other_s, 1.0)
    with pytest.raises(BadDuration):
        state.observe_again(legacy_s, other_s)


@pytest.mark.parametrize("since_s", [-1.0, float("nan")])
def test_time_that_runs_back_is_refused(since_s: float) -> None:
    """It would bring negative stake."""
    with pytest.raises(BadDuration):
        PairedTime().observe(1.0, 1.0, since_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"wealth": [1.0]},
        {"wealth": [-1.0] * len(SCALES)},
        {"pend": 2.0},
        {"pend": None},
        {"recent": ["x"]},
        {"recent": [float("nan")]},
        {"latched": 1},
        {"pairs": -1},
        {"more": 1},
    ],
)
def test_a_state_of_another_kind_is_refused(changes: dict[str, Any]) -> None:
    """It is never guessed at."""
    stored = PairedTime().to_json()
    assert isinstance(stored, dict)
    with pytest.raises(BadState):
        PairedTime.from_json({**stored, **changes})


def test_one_bet_is_what_the_source_says() -> None:
    """1 + tanh(x / scale), on what is held and on the stake that waits."""
    assert settle((1.0,) * len(SCALES), 0.5, 0.1) == pytest.approx(
        [1.5 * (1 + tanh(0.1 / scale)) for scale in SCALES]
    )


def test_more_pairs_and_less_noise_detect_less() -> None:
    """The detectable slow-down shrinks as it should."""
    few, many = after(12, 1.0).recent, after(60, 1.0).recent
    noisy = after(60, 1.0, noise=0.2).recent
    sizes = [detectable(many), detectable(few), detectable(noisy)]
    assert None not in sizes
    assert sizes == sorted(sizes, key=lambda size: size or 0)


def test_pairs_that_say_slower_stake_more_on_the_first_step() -> None:
    """And pairs that say nothing, or cannot tell path from place, leave it as it is."""
    assert prior_factor(None, 7.0) == 1.0
    slower = after(9, 1.25, noise=0.1).finding()
    assert slower.verdict is not Verdict.REGRESS
    assert prior_factor(slower, 7.0) > 2.0
    assert prior_factor(after(60, 1.0).finding(), 7.0) == pytest.approx(0.5, abs=0.1)
    certain = prior_factor(after(60, 2.0).finding(), 7.0)
    assert certain == (1 + 1 / TIME_ALPHA) / 2
    unclear = after(40, 1.5, again=40, place=1.5).finding()
    assert unclear.verdict is Verdict.ERROR
    assert prior_factor(unclear, 7.0) == 1.0


def test_a_path_on_the_margin_stakes_no_more_on_average() -> None:
    """The mean of the factor is at most 1, however long shadow ran: false reverts stay rare."""
    for pairs in (5, 20, 60):
        made = [after(pairs, TIME_MARGIN, 0.2, seed=seed).finding() for seed in range(1_000)]
        factors = [prior_factor(one, pairs / 24) for one in made]
        mean, spread = fmean(factors), stdev(factors) / len(factors) ** 0.5
        assert mean - 3 * spread <= 1.0


def test_a_long_shadow_stakes_no_more_than_one() -> None:
    """After 28 days more than 1 was staked in all, so that the mean of E may be above 1."""
    slower = after(9, 1.25, noise=0.1).finding()
    assert prior_factor(slower, 280.0) < prior_factor(slower, 28.0) == prior_factor(slower, 0.0)
