"""The tests of outputs, field by field: noise is noise, a bug is a bug, and storage is bounded."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.errors import BadState
from rollout.evidence.outputs import FIELDS_MAX, OUTPUT_ALPHA, REST, Outputs
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Verdict
from rollout.routing.decision import JobPath

Rates = dict[str, tuple[float, float]]
"""By field, how often new and old differ from the first old run."""


def after(shadows: int, rates: Rates, again: float = 0.25, seed: int = 1) -> Outputs:
    """Run shadows, a share of them old against old."""
    chance = random.Random(seed)
    state = Outputs()
    for _ in range(shadows):
        old = chance.random() < again
        differing = {name for name, (n, o) in rates.items() if chance.random() < (o if old else n)}
        state = state.observe(old, differing)
    return state


def test_a_wrong_field_is_found_among_noise() -> None:
    """And named alone; the noise is not."""
    finding = after(80, {"at": (1, 1), "total": (1, 0)}).finding()
    assert finding.verdict is Verdict.REGRESS
    assert "total in" in finding.sentence
    assert "at in" not in finding.sentence
    assert finding.value is not None
    assert finding.value >= finding.limit == 1 / OUTPUT_ALPHA


def test_noise_alone_passes_and_is_named() -> None:
    """A field in which legacy does not agree with itself says nothing about the new path."""
    finding = after(120, {"at": (1, 1), "order": (0.3, 0.3)}).finding()
    assert finding.verdict is Verdict.PASS
    assert "noise: at in" in finding.sentence


def test_equal_outputs_pass_with_what_would_have_shown() -> None:
    """More shadows would have shown less."""
    few, many = after(80, {}).finding(), after(600, {}).finding()
    assert few.verdict is many.verdict is Verdict.PASS
    assert few.detectable is not None
    assert many.detectable is not None
    assert many.detectable < few.detectable < 1


@pytest.mark.parametrize(("shadows", "again"), [(0, 0.5), (50, 0.0), (50, 1.0), (4, 0.5)])
def test_too_little_says_nothing(shadows: int, again: float) -> None:
    """No shadow, no old against old, or so few that nothing could have shown."""
    assert after(shadows, {}, again).finding().verdict is Verdict.INSUFFICIENT


def test_a_rare_difference_holds_before_it_is_proven() -> None:
    """One in eighty that legacy never showed: not enough for a verdict, too much for a pass."""
    state = after(80, {})
    finding = state.observe(False, {"total"}).finding()
    assert finding.verdict is Verdict.INSUFFICIENT
    assert "not explained by noise yet: total in 1 of" in finding.sentence


def test_a_regression_stays() -> None:
    """Later equal outputs do not undo it."""
    state = after(80, {"total": (1, 0)})
    for number in range(300):
        state = state.observe(number % 4 == 0, set())
    assert state.finding().verdict is Verdict.REGRESS
    assert state.guilty == ("total",)


def test_a_bug_that_comes_late_is_found() -> None:
    """After hundreds of healthy shadows."""
    state = after(600, {"at": (1, 1)})
    chance = random.Random(5)
    for _ in range(150):
        old = chance.random() < 0.25
        state = state.observe(old, {"at"} if old else {"at", "total"})
    assert state.finding().verdict is Verdict.REGRESS


def test_the_first_appearance_of_a_field_is_no_evidence() -> None:
    """It chose the field, so it must not also speak against it."""
    state = Outputs().observe(False, {"total"}).observe(True, set())
    assert state.statistic <= 0.5
    assert state.fields[0].k_new == 1


def test_fields_are_bounded() -> None:
    """Those that come too late are counted together."""
    state = Outputs()
    for number in range(3 * FIELDS_MAX):
        state = state.observe(number % 4 == 0, {f"field_{number}", "always"})
    assert len(state.fields) == FIELDS_MAX + 1
    assert state.fields[-1].name == REST
    assert state.fields[-1].k_new + state.fields[-1].k_old == 2 * FIELDS_MAX + 1
    assert len(json.dumps(state.to_json())) < 40_000


@given(
    st.lists(
        st.tuples(st.booleans(), st.sets(st.sampled_from("abc"))),
        max_size=25,
    )
)
def test_storing_between_runs_changes_nothing(runs: list[tuple[bool, set[str]]]) -> None:
    """And the statistic stays a number."""
    state = stored = Outputs()
    for again, differing in runs:
        state = state.observe(again, differing)
        stored = Outputs.from_json(json.loads(json.dumps(stored.to_json()))).observe(
            again, differing
        )
    assert stored == state
    assert state.statistic >= 0


@pytest.mark.parametrize(
    "payload",
    [None, {}, {"new": 1}, {"new": 1, "old": 0, "fields": [[1]], "guilty": [], "latched": False}],
)
def test_a_state_of_another_kind_is_refused(payload: Any) -> None:
    """It is never guessed at."""
    with pytest.raises(BadState):
        Outputs.from_json(payload)


C, L = JobPath.CONCURRENT, JobPath.LEGACY


def test_evidence_of_a_sub_pipeline_counts_what_ended_how() -> None:
    """Pairs, errors of the concurrent path, and those of legacy run again, apart."""
    state = ShadowEvidence()
    state = state.compared(C, (), 1.0, 1.1, 1_000.0).compared(L, (), 1.0, 0.9, 1_001.0)
    state = state.failed(C, {"(raised)"}).failed(L, {"(raised)"}).failed(C, ())
    assert (state.pairs, state.errors, state.again_errors) == (1, 2, 1)
    assert (state.outputs.new, state.outputs.old) == (2, 2)
    assert (state.time.pairs, state.time.again) == (1, 1)
    assert ShadowEvidence.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_errors_that_legacy_shows_again_are_noise() -> None:
    """A run that raises differs in one field of its own, on both sides."""
    state = ShadowEvidence()
    for number in range(120):
        state = state.failed(L if number % 3 == 0 else C, {"(raised)"})
    assert state.outputs.finding().verdict is Verdict.PASS
    lonely = ShadowEvidence()
    for number in range(120):
        if number % 3:
            lonely = lonely.failed(C, {"(raised)"})
        else:
            lonely = lonely.compared(L, (), 1.0, 1.0, number)
    assert lonely.outputs.finding().verdict is Verdict.REGRESS


def test_a_clock_that_steps_back_is_no_time() -> None:
    """Workers of several machines need not agree."""
    state = ShadowEvidence().compared(C, (), 1.0, 1.0, 1_000.0).compared(C, (), 1.0, 1.0, 400.0)
    assert (state.pairs, state.last_s) == (2, 1_000.0)
