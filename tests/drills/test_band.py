"""The band: what is normal, judged by windows of which some may be odd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.drills.band import FACTOR_MIN, ODDS, Band, band_from, too_many
from rollout.evidence.errors import BadState
from rollout.evidence.sample import PathSample
from tests.builders import NOW

USUAL = PathSample(NOW, jobs=20, failed=0, p95_s=2.0, oldest_s=1.0)
SLOW = replace(USUAL, p95_s=20.0)
FAILING = replace(USUAL, failed=20)
STUCK = replace(USUAL, jobs=0, p95_s=None, oldest_s=600.0)
EMPTY = PathSample.idle(NOW)
BAND = Band(error_rate_max=0.02, p95_s_max=4.0, oldest_s_max=30.0)

samples = st.builds(
    lambda jobs, share, p95_s, oldest_s: PathSample(NOW, jobs, int(jobs * share), p95_s, oldest_s),
    st.integers(1, 500),
    st.floats(0, 0.3),
    st.floats(1e-3, 1e4),
    st.floats(0, 1e4),
)


def drawn(windows: Sequence[PathSample]) -> Band:
    """The band of enough windows."""
    band = band_from(windows)
    assert band is not None
    return band


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (USUAL, None),
        (EMPTY, None),
        (replace(USUAL, p95_s=4.0, oldest_s=30.0), None),
        (
            replace(USUAL, jobs=40, failed=12),
            "12 of 40 jobs failed (30.0%), normal is at most 2.0%.",
        ),
        (SLOW, "The p95 cycle time was 20 s, normal is at most 4 s."),
        (STUCK, "The oldest open job was 600 s old, normal is at most 30 s."),
    ],
)
def test_the_sentence_names_measure_value_and_limit(
    sample: PathSample, sentence: str | None
) -> None:
    """The person on call reads what was measured and what would have been normal."""
    assert BAND.why_outside(sample) == sentence


def test_failures_that_chance_explains_are_inside() -> None:
    """One failed job of three is no rate; all of three are."""
    assert BAND.why_outside(replace(USUAL, jobs=3, failed=1)) is None
    assert BAND.why_outside(replace(USUAL, jobs=3, failed=3)) is not None


@given(st.integers(1, 400), st.floats(0.001, 0.9))
def test_the_bound_on_chance_is_never_too_small(jobs: int, rate: float) -> None:
    """What counts as too many really is as rare as said: the exact binomial tail is smaller."""
    from scipy.stats import binom

    most = next((failed for failed in range(jobs + 1) if too_many(failed, jobs, rate)), None)
    if most is not None:
        assert binom.sf(most - 1, jobs, rate) <= 1 / ODDS + 1e-12


def test_no_failure_is_usual_where_none_is_allowed() -> None:
    """A limit of 0 lets nothing pass, and nothing fails within it."""
    assert too_many(1, 1000, 0.0)
    assert not too_many(0, 1000, 0.0)


def test_too_little_gives_no_band() -> None:
    """Nineteen windows, or any number without jobs, say nothing about what is normal."""
    assert band_from([USUAL] * 19) is None
    assert band_from([EMPTY] * 100 + [USUAL] * 19) is None
    assert band_from([USUAL] * 20) is not None
    assert band_from([], windows_min=0) is None


def test_constant_windows_leave_room() -> None:
    """Without any spread the limits are half again the usual time, and a point of errors."""
    band = drawn([USUAL] * 20)
    assert band.p95_s_max == pytest.approx(FACTOR_MIN * 2.0)
    assert band.oldest_s_max == pytest.approx(FACTOR_MIN * 2.0)
    assert band.error_rate_max == pytest.approx(0.01)


@given(st.lists(samples, min_size=20, max_size=48), st.floats(1e-2, 1e2))
def test_scaled_times_scale_the_band(windows: list[PathSample], factor: float) -> None:
    """A path that is twice as slow throughout has a band twice as high, and the same error rate."""
    scaled = [
        replace(each, p95_s=(each.p95_s or 0) * factor, oldest_s=each.oldest_s * factor)
        for each in windows
    ]
    before, after = drawn(windows), drawn(scaled)
    assert after.p95_s_max == pytest.approx(before.p95_s_max * factor, rel=1e-9)
    assert after.oldest_s_max == pytest.approx(before.oldest_s_max * factor, rel=1e-9)
    assert after.error_rate_max == before.error_rate_max


def test_a_tenth_of_odd_windows_moves_nothing() -> None:
    """An incident among the windows that are learnt from does not become normal."""
    assert drawn([USUAL] * 44 + [SLOW, FAILING, STUCK, FAILING]) == drawn([USUAL] * 44)


def test_a_daily_rush_is_normal() -> None:
    """A path that is three times as slow a tenth of the day has a band above its rush."""
    rush = replace(USUAL, p95_s=6.0)
    band = drawn([USUAL] * 42 + [rush] * 6)
    assert band.why_outside(rush) is None
    assert band.why_outside(replace(USUAL, p95_s=60.0)) is not None


def test_a_path_that_often_fails_is_judged_by_its_own_rate() -> None:
    """A tenth of all jobs failing is normal for it; half is not."""
    often = replace(USUAL, jobs=100, failed=10)
    band = drawn([often] * 20)
    assert band.why_outside(often) is None
    assert band.why_outside(replace(often, failed=50)) is not None


def test_a_band_comes_back_from_storage() -> None:
    """What JSON keeps is what comes back, and nothing else is read as a band."""
    assert Band.from_json(BAND.to_json()) == BAND
    with pytest.raises(BadState):
        Band.from_json([0.1, 2.0])
