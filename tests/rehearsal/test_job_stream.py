"""Columns of jobs: what is refused, where routing puts them, and numbers as good as drawn."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.buckets import DURATION_S_MAX, bucket_edge_s, bucket_index
from rollout.rehearsal.counterfactual import NEAR, Recorded, complete, donors
from rollout.rehearsal.job_stream import (
    BadStream,
    JobStream,
    numbered_positions,
    numbers_of,
    positions_of,
    time_of,
    us_of,
)
from rollout.rehearsal.stream_draw import Drawing, draw_drills, draw_stream
from rollout.rehearsal.stream_jobs import buckets_of
from rollout.routing.decision import JobPath
from rollout.routing.rule import position

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def drawn(jobs_per_day: float = 2_000, seed: int = 1) -> JobStream:
    """A day of jobs."""
    return draw_stream("pilot", Drawing(jobs_per_day, seed=seed), START, 1)


def test_what_cannot_be_a_stream() -> None:
    """Falling admissions, durations out of range, columns of different lengths, no job at all."""
    stream = drawn()
    with pytest.raises(BadStream, match="never fall"):
        replace(stream, at_us=stream.at_us[::-1])
    for wrong in (-1, round(DURATION_S_MAX * 1e6) + 1):
        with pytest.raises(BadStream, match="durations must lie"):
            replace(stream, legacy_us=np.full(stream.jobs, wrong))
    with pytest.raises(BadStream, match="equally long"):
        replace(stream, legacy_us=stream.legacy_us[:-1])
    no_time, no_flag = stream.at_us[:0], stream.legacy_failed[:0]
    empty = JobStream(
        "pilot", no_time, stream.position[:0], None, no_time, no_time, no_flag, no_flag
    )
    with pytest.raises(BadStream, match="needs a job"):
        _ = empty.begins_at


def test_the_same_seed_draws_the_same_jobs() -> None:
    """And another seed draws others."""
    one, same, other = drawn(), drawn(), drawn(seed=2)
    assert np.array_equal(one.at_us, same.at_us)
    assert np.array_equal(one.position, same.position)
    assert np.array_equal(one.legacy_us, same.legacy_us)
    assert one.jobs != other.jobs or not np.array_equal(one.legacy_us, other.legacy_us)
    with pytest.raises(BadStream, match="must have 1..50000000 jobs".replace(".", r"\.")):
        draw_stream("pilot", Drawing(1e9), START, 28)


def test_positions_are_those_of_the_routing_rule() -> None:
    """Key by key."""
    keys = ["7", "8", "customer"]
    assert positions_of("pilot", keys, 3).tolist() == [position("pilot", key) for key in keys]
    assert numbers_of(["b", "a", "b"]).tolist() == [0, 1, 0]


def test_times_go_through_microseconds_unharmed() -> None:
    """To the last one."""
    at = START + timedelta(microseconds=123_457)
    assert time_of(us_of(at)) == at


@given(st.integers(0, round(DURATION_S_MAX * 1e6)))
def test_buckets_are_those_of_the_core(duration_us: int) -> None:
    """Any whole microsecond falls into the bucket that `bucket_index` finds for its seconds."""
    assert buckets_of(np.array([duration_us])).tolist() == [bucket_index(duration_us / 1e6)]


@pytest.mark.parametrize("bucket", [0, 1, 57, 493, 913, 914])
def test_buckets_change_where_the_core_changes(bucket: int) -> None:
    """Around an edge, where rounding could tell them apart."""
    edge = round(bucket_edge_s(bucket) * 1e6)
    around = np.arange(edge - 3, edge + 4)
    assert buckets_of(around).tolist() == [bucket_index(int(one) / 1e6) for one in around]


def test_chances_are_even_and_independent() -> None:
    """Spread over [0, 1), unlike the job's position, unlike those of another purpose."""
    stream = drawn(20_000)
    one, other = stream.chances(1), stream.chances(2)
    where = stream.position / 2.0**64
    assert 0 <= one.min() < one.max() < 1
    assert one.mean() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef([one, other, where])[np.triu_indices(3, 1)] == pytest.approx(0, abs=0.03)
    same_key = replace(stream, position=np.full(stream.jobs, 7, dtype=np.uint64))
    assert np.unique(same_key.chances(1)).size == stream.jobs


def test_donors_are_near_and_took_the_path() -> None:
    """A job that took it is its own; any other borrows within the nearest on either side."""
    stream = drawn(20_000)
    took = stream.chances(9) < 0.3
    found = donors(stream.at_us, took, stream.chances(4))
    assert took[found].all()
    own = np.flatnonzero(took)
    assert np.array_equal(found[own], own)
    rank = np.cumsum(took)
    inside = slice(int(own[0]), int(own[-1]))
    assert np.abs(rank[found] - rank)[inside].max() <= NEAR + 1
    assert np.unique(found).size > own.size / 2, "not always the same one"


def test_where_no_donor_is_near_all_of_them_are() -> None:
    """Jobs from before the path was ever taken draw from everything it did, not from its start."""
    stream = drawn(20_000)
    took = np.arange(stream.jobs) >= stream.jobs // 2
    found = donors(stream.at_us, took, stream.chances(4))
    early = found[: stream.jobs // 2]
    assert early.max() > 0.99 * stream.jobs
    assert early.mean() == pytest.approx(0.75 * stream.jobs, rel=0.02)


def test_a_path_nobody_took_is_as_good_as_the_other() -> None:
    """Its times come from near jobs of the other path, and not from the job itself."""
    stream = drawn(20_000)
    everyone, nobody = np.ones(stream.jobs, dtype=bool), np.zeros(stream.jobs, dtype=bool)
    nothing = np.zeros(stream.jobs, dtype=np.int64)
    recorded = Recorded(everyone, nobody, stream.legacy_us, nothing, stream.legacy_failed, nobody)
    made = complete("pilot", stream.at_us, stream.position, None, recorded)
    assert np.array_equal(made.legacy_us, stream.legacy_us)
    assert np.median(made.concurrent_us) == pytest.approx(np.median(made.legacy_us), rel=0.05)
    assert (made.concurrent_us == made.legacy_us).mean() < 0.1


def test_drills_come_in_pairs_through_the_whole_trial() -> None:
    """Six a week on either path, each pair a few minutes apart, none before the start."""
    drills = draw_drills("pilot", 6, 0.8, START, 14, 86_400, 1)
    assert [sum(one.path is path for one in drills) for path in JobPath] == [12, 12]
    assert min(one.at for one in drills) > START
    assert [one.at for one in drills] == sorted(one.at for one in drills)
    assert draw_drills("pilot", 0, 0.8, START, 14, 86_400, 1) == []


@pytest.mark.parametrize("salt", ["x", "pilot", "100 %d", "a-name-that-is-longer-than-sixteen"])
def test_numbered_keys_are_where_routing_puts_them(salt: str) -> None:
    """However many digits they have."""
    expected = [position(salt, f"7-{number}") for number in range(1005)]
    assert numbered_positions(salt, "7-", 1005).tolist() == expected
    assert numbered_positions(salt, "7-", 0).tolist() == []
