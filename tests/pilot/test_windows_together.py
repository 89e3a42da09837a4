"""Windows that are taken in together come to the same as one after the other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.counts import Counts
from rollout.evidence.errors import EvidenceError
from rollout.evidence.revert_test import Window
from rollout.evidence.thresholds import Thresholds
from rollout.pilot.trial import Admitted, Trial
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from tests.builders import NOW, split

SHORT, LONG = Thresholds(300, 400), Thresholds(700, 800)
"""Legacy's 95th percentile: within the fast path's patience, and beyond it."""


@st.composite
def windows(draw: st.DrawFn) -> list[Admitted]:
    """Windows with gaps, overlaps and repeats, from healthy to a total failure."""
    taken, at = [], NOW
    for _ in range(draw(st.integers(0, 6))):
        at += timedelta(seconds=draw(st.sampled_from([-10, 0, 0, 10, 300])))
        n, m = draw(st.integers(0, 9)), draw(st.integers(0, 40))
        k, j = draw(st.integers(0, n)), draw(st.integers(0, m // 2))
        tail = Counts(n, draw(st.integers(0, k)), m, draw(st.integers(0, j)))
        slow = Counts(n, k, m, j), tail
        median, tail_of = slow if draw(st.booleans()) else (None, None)
        window = Window(Counts(n, k, m, j), median, tail_of, n, m, 0, draw(st.integers(0, 2)))
        taken.append((at, at + timedelta(seconds=10), window))
        at += timedelta(seconds=10)
    return taken


def begun(thresholds: Thresholds) -> Trial:
    """A trial whose first step has begun."""
    return begin(split(2500), (None, None), Policy(), thresholds, NOW)


@pytest.mark.parametrize("thresholds", [SHORT, LONG])
@given(
    before=windows(),
    then=windows(),
    rate=st.sampled_from([None, 0.0, 0.02, 0.4]),
    pace=st.sampled_from([1.0, 4320.0]),
)
def test_together_as_one_by_one(
    thresholds: Thresholds,
    before: list[Admitted],
    then: list[Admitted],
    rate: float | None,
    pace: float,
) -> None:
    """To the last digit, latches included, whether the fast path sees them early or with all."""
    together = one_by_one = begun(thresholds)
    for some in (before, then):
        together = together.observe_early(some, rate, pace).observe_all(some, rate, pace)
        for one in some:
            one_by_one = one_by_one.observe_early([one], rate, pace)
        for begin_at, end_at, window in some:
            one_by_one = one_by_one.observe(window, begin_at, end_at, rate, pace)
    assert together == one_by_one


def test_one_that_cannot_be_leaves_none_of_them_in() -> None:
    """So that whoever gave them can give the good ones alone."""
    good = Window(Counts(5, 0, 9, 0), None, None, 5, 9)
    impossible = Window(Counts(5, 1, 9, 0), Counts(5, 1, 9, 0), Counts(5, 2, 9, 0), 5, 9)
    spans = [
        (NOW + timedelta(seconds=10 * at), NOW + timedelta(seconds=10 * (at + 1)), window)
        for at, window in enumerate((good, impossible, good))
    ]
    trial = begun(SHORT)
    with pytest.raises(EvidenceError):
        trial.observe_all(spans, 0.01, 1.0)
    assert trial == begun(SHORT)
