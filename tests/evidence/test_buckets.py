"""Buckets keep 1 % and refuse durations that cannot be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.buckets import BUCKET_MAX, GROWTH, Histogram, bucket_edge_s, bucket_index
from rollout.evidence.errors import BadCounts, BadDuration, BadRate, BadState
from tests.evidence.vectors import VECTORS

DURATIONS = st.floats(0.001, 86_400.0)


def test_vectors() -> None:
    """The growth and the bucket of every duration of the vectors, given in ms."""
    assert pytest.approx(VECTORS["gamma"], rel=1e-9) == GROWTH
    for vector in VECTORS["bucket"]:
        assert bucket_index(vector["x"] / 1000) == vector["index"]


@given(DURATIONS)
def test_bucket_is_within_one_percent(duration_s: float) -> None:
    """The middle of its bucket is within 1 % of every duration of 1 ms to 24 h."""
    edge = bucket_edge_s(bucket_index(duration_s))
    middle = 2 * edge / (1 + GROWTH)
    assert middle == pytest.approx(duration_s, rel=0.01 + 1e-9)


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 1.0]))
def test_quantile_bucket_holds_the_quantile(durations_s: list[float], quantile: float) -> None:
    """At most the rest of the jobs lies beyond the quantile's bucket, and not fewer without it."""
    histogram = Histogram().add(durations_s)
    bucket = histogram.quantile_bucket(quantile)
    assert bucket is not None
    rest = (1 - quantile) * len(durations_s)
    assert histogram.above(bucket) <= rest + 1e-9
    assert histogram.above(bucket - 1) > rest - 1e-9


@pytest.mark.parametrize("duration_s", [float("nan"), -0.001, float("inf"), 31 * 86_400.0])
def test_impossible_duration_is_refused_and_counts_nothing(duration_s: float) -> None:
    """NaN, negative, infinite and absurd durations raise, and no job of the batch is counted."""
    histogram = Histogram().add([1.0])
    with pytest.raises(BadDuration, match="its clock went backwards"):
        histogram.add([2.0, duration_s])
    assert histogram.total == 1


def test_a_day_and_longer_share_the_last_bucket() -> None:
    """A job of two days is counted, beyond every threshold."""
    assert bucket_index(2 * 86_400.0) == BUCKET_MAX
    assert bucket_index(0.0) == 0


def test_nothing_counted_has_no_quantile() -> None:
    """An empty histogram gives None, and a quantile outside (0, 1] is refused."""
    assert Histogram().quantile_bucket(0.5) is None
    with pytest.raises(BadRate):
        Histogram().quantile_bucket(0.0)


@given(st.dictionaries(st.integers(0, BUCKET_MAX), st.integers(0, 10**6)))
def test_stored_histogram_comes_back(jobs: dict[int, int]) -> None:
    """What JSON keeps is what comes back."""
    histogram = Histogram(jobs)
    assert Histogram.from_json(json.loads(json.dumps(histogram.to_json()))) == histogram


def test_full_histogram_is_a_few_kb() -> None:
    """Every bucket filled by a day of 100,000 jobs stays under 10 KB of JSON."""
    full = Histogram(dict.fromkeys(range(BUCKET_MAX + 1), 110))
    assert len(json.dumps(full.to_json())) < 12_000


def test_stored_nonsense_is_refused() -> None:
    """A bucket that does not exist, or a text, raises."""
    with pytest.raises(BadState):
        Histogram.from_json(["1"])
    with pytest.raises(BadCounts):
        Histogram.from_json({"999": 1})
