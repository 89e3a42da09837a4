"""Slower jobs are found beyond the shift of two buckets, and not within it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.evidence.buckets import Histogram, bucket_edge_s
from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.cycle_time import CycleTime
from rollout.evidence.errors import BadCounts, BadDuration, BadState
from rollout.evidence.thresholds import (
    REVERT_SHIFT,
    THRESHOLD_JOBS_MIN,
    Thresholds,
    is_slow,
    slowdown,
)
from rollout.evidence.verdict import Verdict
from tests.evidence.strategies import NO_TICK_S


def begin() -> CycleTime:
    """Begin the first step of a window."""
    return CycleTime.fresh().change_scope()


def ticked(state: CycleTime, median: Counts, tail: Counts, times: int) -> CycleTime:
    """Take in the same tick several times."""
    for _ in range(times):
        state = state.observe(median, tail, 10.0)
    return state


def test_thresholds_are_the_legacy_quantiles_of_a_day() -> None:
    """Half of yesterday's jobs lie at or below the median bucket, 95 of 100 at the tail's."""
    day = Histogram().add([float(second) for second in range(1, 101)])
    thresholds = Thresholds.from_legacy(day)
    assert thresholds is not None
    assert day.above(thresholds.median) == 50
    assert day.above(thresholds.tail) <= 5
    assert Thresholds.from_legacy(Histogram({10: THRESHOLD_JOBS_MIN - 1})) is None


def test_concurrent_jobs_get_the_margin() -> None:
    """A job 4 % over the threshold is slow on legacy and not on the concurrent path."""
    edge = bucket_edge_s(300)
    assert slowdown(REVERT_SHIFT) == pytest.approx(1.0408, abs=1e-4)
    assert is_slow(edge * 1.04, 300)
    assert not is_slow(edge * 1.04, 300, REVERT_SHIFT)
    assert is_slow(edge * 1.05, 300, REVERT_SHIFT)
    with pytest.raises(BadDuration):
        is_slow(float("nan"), 300)


def test_equal_paths_pass() -> None:
    """Half the jobs over the median and five in a hundred over the tail on both: PASS."""
    state = ticked(begin(), Counts(100, 49, 100, 50), Counts(100, 5, 100, 5), 100)
    finding = state.finding()
    assert finding.verdict is Verdict.PASS
    assert finding.detectable is not None
    assert 0.5 < finding.detectable < 0.6


@pytest.mark.parametrize(
    ("median", "tail"),
    [
        (Counts(100, 75, 100, 50), Counts(100, 5, 100, 5)),
        (Counts(100, 50, 100, 50), Counts(100, 12, 100, 5)),
    ],
    ids=["all jobs slower", "slow jobs slower"],
)
def test_slower_jobs_regress(median: Counts, tail: Counts) -> None:
    """Either threshold alone is enough, and the answer stays."""
    state = ticked(begin(), median, tail, 100)
    assert state.finding().verdict is Verdict.REGRESS
    later = CycleTime.from_json(json.loads(json.dumps(state.change_scope().to_json())))
    assert later.finding().verdict is Verdict.REGRESS


def test_no_data_is_insufficient() -> None:
    """No tick, empty ticks, one silent path and a handful of jobs never pass."""
    one_path = Counts(0, 0, 50, 25)
    few = Counts(2, 1, 2, 1)
    for tick in (NO_COUNTS, one_path, few):
        assert ticked(begin(), tick, tick, 1).finding().verdict is Verdict.INSUFFICIENT
    assert begin().finding().verdict is Verdict.INSUFFICIENT


def test_counts_that_contradict_each_other_are_refused() -> None:
    """More jobs beyond the tail than beyond the median, or other jobs, raise BadCounts."""
    state = begin()
    with pytest.raises(BadCounts, match="of the tail"):
        state.observe(Counts(6, 1, 6, 1), Counts(6, 2, 6, 1), 10.0)
    with pytest.raises(BadCounts, match="of the tail"):
        state.observe(Counts(6, 1, 6, 1), Counts(6, 1, 6, 2), 10.0)
    with pytest.raises(BadCounts, match="same jobs"):
        state.observe(Counts(6, 1, 6, 1), Counts(6, 1, 7, 1), 10.0)
    assert state == begin()


@given(NO_TICK_S)
def test_impossible_tick_is_refused(tick_s: float) -> None:
    """A refused tick raises before either half of the test has moved."""
    with pytest.raises(BadDuration):
        begin().observe(NO_COUNTS, NO_COUNTS, tick_s)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=10))
def test_storage_is_the_identity(jobs: list[tuple[int, int]]) -> None:
    """Storing between ticks changes nothing, and a state stays under 1 KB."""
    state = stored = begin()
    for n, m in jobs:
        median, tail = Counts(n, n // 2, m, m // 2), Counts(n, n // 9, m, m // 9)
        state = state.observe(median, tail, 10.0)
        payload = json.dumps(stored.to_json(), allow_nan=False)
        stored = CycleTime.from_json(json.loads(payload)).observe(median, tail, 10.0)
        assert state.statistic >= 0.0
    assert stored == state
    assert len(json.dumps(state.to_json())) <= 1024
    with pytest.raises(BadState):
        CycleTime.from_json({"median": {}})
