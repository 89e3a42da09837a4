"""Total failure: seen in a handful of jobs, and never confused with a common outage."""

from __future__ import annotations

import json
from math import comb, exp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadCounts, BadProcess, BadRate
from rollout.evidence.fast_path import CAP_MAX, LIMIT, FastPath, cap_from
from rollout.evidence.single_path import RATES, SinglePathProcess, odds
from rollout.evidence.verdict import Verdict
from tests.evidence.strategies import counts
from tests.evidence.vectors import VECTORS, ticks


def begin() -> FastPath:
    """Begin the first step of a window."""
    return FastPath.fresh().change_scope()


@pytest.mark.parametrize("vector", VECTORS["fastpath"], ids=lambda vector: str(vector["name"]))
def test_vectors(vector: dict[str, Any]) -> None:
    """Both statistics after each listed tick to 1e-9, and the tick of the alarm."""
    state, alarm = begin(), None
    for number, tick in enumerate(ticks(vector), start=1):
        state = state.observe(Counts(*tick), 10.0, None)
        if state.latched and alarm is None:
            alarm = number
        wanted = vector["stat_G_after"].get(str(number))
        if wanted is not None:
            assert [state.statistic, state.corroborated] == pytest.approx(wanted, rel=1e-9)
    assert alarm == vector["alarm_tick"]


def test_common_outage_does_not_revert() -> None:
    """Both paths failing for an hour raises the watch to its limit and reverts nothing."""
    state = begin()
    for _ in range(360):
        state = state.observe(Counts(6, 6, 6, 6), 10.0, 0.005)
    assert state.statistic >= LIMIT
    assert not state.latched
    assert state.finding(0.005).verdict is Verdict.INSUFFICIENT
    assert "legacy seems to fail with it" in state.finding(0.005).sentence


def test_legacy_without_jobs_does_not_revert() -> None:
    """With no legacy job to compare with, failures of the concurrent path alone are not enough."""
    state = begin()
    for _ in range(360):
        state = state.observe(Counts(6, 6, 0, 0), 10.0, 0.005)
    assert not state.latched


def test_jobs_that_raised_the_alarm_do_not_confirm_it() -> None:
    """One tick, however bad, starts the comparison and decides nothing."""
    state = begin().observe(Counts(5000, 5000, 5000, 0), 10.0, 0.0)
    assert state.statistic >= LIMIT
    assert state.corroborated == 1.0
    assert not state.latched


@settings(max_examples=30)
@given(st.lists(counts(), max_size=15))
def test_statistics_stay_numbers_and_storage_is_the_identity(seen: list[Counts]) -> None:
    """Neither statistic is ever negative, and storing between ticks changes nothing."""
    state = stored = begin()
    for tick in seen:
        state = state.observe(tick, 10.0, 0.01)
        payload = json.dumps(stored.to_json(), allow_nan=False)
        stored = FastPath.from_json(json.loads(payload)).observe(tick, 10.0, 0.01)
        assert state.statistic >= 0.0
        assert state.corroborated >= 0.0
    assert stored == state
    assert len(json.dumps(state.to_json())) <= 1024


@given(
    st.floats(0.01, 0.99), st.floats(0.0, 1.0), st.integers(1, 8), st.sampled_from([0.3, 0.6, 0.95])
)
def test_wealth_does_not_grow_on_average_under_the_cap(
    cap: float, share: float, n: int, rate: float
) -> None:
    """E[L] <= 1 at and under any cap, also one above the rate bet on, which then bets nothing."""
    p = cap * share
    hit, good = odds(rate, cap)
    total = sum(
        comb(n, k) * p**k * (1 - p) ** (n - k) * exp(k * hit + (n - k) * good) for k in range(n + 1)
    )
    assert total <= 1 + 1e-9


def test_cap_follows_legacy() -> None:
    """Ten percent, or four times what legacy shows, and never 1."""
    assert cap_from(None) == cap_from(0.005) == 0.10
    assert cap_from(0.05) == pytest.approx(0.20)
    assert cap_from(0.9) == CAP_MAX
    for rate in (float("nan"), -0.1, 1.1):
        with pytest.raises(BadRate):
            cap_from(rate)


def test_no_jobs_is_insufficient() -> None:
    """Without enough jobs of the concurrent path to show a total failure there is no PASS."""
    for tick in (Counts(0, 0, 0, 0), Counts(0, 0, 50, 0), Counts(4, 0, 50, 0)):
        found = begin().observe(tick, 10.0, 0.005).finding(0.005)
        assert (found.verdict, found.detectable) == (Verdict.INSUFFICIENT, None)
    enough = begin().observe(Counts(12, 0, 50, 0), 10.0, 0.005)
    assert enough.finding(0.005).verdict is Verdict.PASS
    # A legacy path that fails everywhere leaves no rate to bet on.
    assert enough.finding(1.0).verdict is Verdict.INSUFFICIENT


def test_single_path_refuses_what_cannot_be() -> None:
    """More hits than jobs, a cap of 1 and weights beyond 1 raise."""
    process = SinglePathProcess()
    with pytest.raises(BadCounts):
        process.observe(process.fresh(), 3, 4, 10.0, 0.1)
    with pytest.raises(BadRate):
        process.observe(process.fresh(), 3, 3, 10.0, 1.0)
    with pytest.raises(BadProcess):
        SinglePathProcess((*RATES, (0.5, 0.5)))
