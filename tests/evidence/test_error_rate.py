"""The error-rate test: its statistic tick by tick, its latch, its storage and its words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.evidence.betting import Margin
from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.error_rate import PROCESS, REVERT_MARGIN, ErrorRate
from rollout.evidence.errors import BadDuration, BadProcess, BadState
from rollout.evidence.verdict import Verdict
from tests.evidence.strategies import NO_TICK_S, counts
from tests.evidence.vectors import VECTORS, ticks

UNCUT = replace(PROCESS, wealth_max=1e300)
"""The vectors were computed without the cut at 1e12, which no decision can see."""

ALL_FAIL = Counts(6, 6, 6, 0)


def begin() -> ErrorRate:
    """Begin the first step of a window."""
    return ErrorRate.fresh().change_scope()


@pytest.mark.parametrize("vector", VECTORS["sequences"], ids=lambda vector: str(vector["name"]))
def test_vectors(vector: dict[str, Any]) -> None:
    """The statistic after each listed tick to 1e-9, and the tick of the alarm."""
    state = ErrorRate.fresh(UNCUT).change_scope()
    alarm = None
    for number, tick in enumerate(ticks(vector), start=1):
        state = state.observe(Counts(*tick), 10.0)
        if state.latched and alarm is None:
            alarm = number
        wanted = vector["stat_after"].get(str(number))
        if wanted is not None:
            assert state.statistic == pytest.approx(wanted, rel=1e-9)
    assert alarm == vector["alarm_tick"]


@settings(max_examples=30)
@given(st.lists(counts(), max_size=15))
def test_statistic_stays_a_number_and_storage_is_the_identity(seen: list[Counts]) -> None:
    """The statistic is never negative, and storing between ticks changes nothing."""
    state = stored = begin()
    for tick in seen:
        state = state.observe(tick, 10.0)
        stored = ErrorRate.from_json(json.loads(json.dumps(stored.to_json()))).observe(tick, 10.0)
        assert 0.0 <= state.statistic <= 1e12
    assert stored == state
    assert len(json.dumps(state.to_json())) <= 1024


def test_a_path_on_the_revert_margin_is_left_alone() -> None:
    """Failing 1.1 times as often plus .05 points is no regression, however many jobs say so."""
    state = begin()
    assert REVERT_MARGIN.limit(0.0001) == pytest.approx(0.00061)
    for _ in range(400):
        state = state.observe(Counts(10_000, 6, 10_000, 1), 10.0)
    assert not state.latched


def test_without_the_margin_the_same_path_would_be_reverted() -> None:
    """The margin is what keeps the path above alone: with none the same jobs are a regression."""
    state = ErrorRate.fresh(replace(PROCESS, margin=Margin())).change_scope()
    for _ in range(400):
        state = state.observe(Counts(10_000, 6, 10_000, 1), 10.0)
    assert state.latched


def test_regress_is_latched() -> None:
    """Good jobs after the alarm do not take it back, nor does a new step or a restart."""
    state = begin()
    for _ in range(2):
        state = state.observe(ALL_FAIL, 10.0)
    assert state.finding().verdict is Verdict.REGRESS
    for _ in range(3000):
        state = state.observe(Counts(6, 0, 6, 3), 10.0)
    assert state.statistic < 1
    again = ErrorRate.from_json(state.change_scope().to_json())
    assert again.finding().verdict is Verdict.REGRESS


@pytest.mark.parametrize(
    "seen", [[], [NO_COUNTS] * 5, [Counts(0, 0, 500, 5)] * 9, [Counts(1, 0, 1, 0)]]
)
def test_too_little_is_insufficient_and_never_pass(seen: list[Counts]) -> None:
    """No data, one silent path, or so few jobs that nothing could have shown: INSUFFICIENT."""
    state = begin()
    for tick in seen:
        state = state.observe(tick, 10.0)
    finding = state.finding()
    assert finding.verdict is Verdict.INSUFFICIENT
    assert finding.detectable is None
    assert finding.sentence


def test_jobs_of_the_last_step_do_not_count_in_the_next() -> None:
    """A new step begins without jobs and without the open block, but keeps its wealth."""
    state = begin()
    for _ in range(50):
        state = state.observe(Counts(6, 0, 6, 0), 10.0)
    assert state.finding().verdict is Verdict.PASS
    later = state.observe(Counts(3, 3, 0, 0), 10.0).change_scope()
    assert later.finding().verdict is Verdict.INSUFFICIENT
    assert later.betting.block.counts == NO_COUNTS
    assert later.statistic == state.statistic


@given(NO_TICK_S)
def test_impossible_tick_changes_nothing(tick_s: float) -> None:
    """A refused tick raises, and the state goes on as if it had not come."""
    state = begin().observe(Counts(6, 1, 6, 0), 10.0)
    before = json.dumps(state.to_json())
    with pytest.raises(BadDuration):
        state.observe(ALL_FAIL, tick_s)
    assert json.dumps(state.to_json()) == before


def test_finding_says_what_would_have_been_seen() -> None:
    """PASS stands beside its samples and the detectable rate, which falls with more jobs."""
    few = many = begin()
    for _ in range(20):
        few = few.observe(Counts(6, 0, 6, 0), 10.0)
        many = many.observe(Counts(60, 0, 60, 0), 10.0)
    first, second = few.finding(), many.finding()
    assert (first.n_concurrent, second.n_concurrent) == (120, 1200)
    assert first.detectable is not None
    assert second.detectable is not None
    assert 0 < second.detectable < first.detectable < 0.5
    assert first.limit == pytest.approx(1000 / 3)
    assert f"{first.detectable:.2%}" in first.sentence
    assert json.loads(json.dumps(first.to_json()))["verdict"] == "pass"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"betting": {}, "latched": False},
        {**begin().to_json(), "latched": 1},  # type: ignore[dict-item] # an object, as stored
        {**begin().to_json(), "more": 1},  # type: ignore[dict-item] # an object, as stored
    ],
)
def test_stored_evidence_of_another_version_is_refused(payload: Any) -> None:
    """A shape this version does not know raises BadState instead of being guessed at."""
    with pytest.raises(BadState):
        ErrorRate.from_json(payload)


@pytest.mark.parametrize("wealth", [[1.0] * 6, [-1.0] * 7, [float("nan")] * 7, ["1"] * 7])
def test_stored_wealth_must_fit_the_bets(wealth: list[Any]) -> None:
    """Wealth of other bets, negative or not a number, raises BadState."""
    payload = json.loads(json.dumps(begin().to_json()))
    payload["betting"]["wealth"] = wealth
    with pytest.raises(BadState):
        ErrorRate.from_json(payload)


def test_process_must_keep_its_promise() -> None:
    """Weights that do not add up to 1, and an alpha outside (0, 1), are refused."""
    with pytest.raises(BadProcess):
        replace(PROCESS, bets=PROCESS.bets[1:])
    with pytest.raises(BadProcess):
        replace(PROCESS, alpha=0.0)
