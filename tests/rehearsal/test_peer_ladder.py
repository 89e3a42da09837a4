"""Peers on a stream: the calendar's ladder, minutes of completion, and who rolls back when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rollout.rehearsal.injection import Injection
from rollout.rehearsal.job_stream import JobStream
from rollout.rehearsal.peer_ladder import Climbed, Completions, Ladder, climb
from rollout.rehearsal.stream_draw import Drawing, draw_stream

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
LADDER = Ladder(START, START + timedelta(days=3), (1000, 5000, 10_000), timedelta(days=1))


def drawn() -> JobStream:
    """Three days of jobs."""
    return draw_stream("pilot", Drawing(10_000), START, 3)


def by_name(stream: JobStream) -> dict[str, Climbed]:
    """What each peer did."""
    return {one.name: one for one in climb(stream, LADDER, 0.005)[0]}


def test_the_calendar_gives_each_day_its_share() -> None:
    """A tenth, a half, all; and the last step lasts to the end."""
    minutes = Completions(drawn(), LADDER).minutes
    shares = [
        minutes.n[day].sum() / (minutes.n[day].sum() + minutes.m[day].sum())
        for day in (slice(0, 1440), slice(1440, 2880), slice(2880, None))
    ]
    assert shares == pytest.approx([0.1, 0.5, 1.0], abs=0.02)
    assert LADDER.scope_bp_at(START - timedelta(days=1)) == 1000
    assert LADDER.scope_bp_at(START + timedelta(days=9)) == 10_000


def test_jobs_are_counted_in_the_minute_they_end() -> None:
    """A job of two hours is in no earlier minute; its failure neither."""
    stream = drawn()
    late = replace(
        stream,
        legacy_us=np.full(stream.jobs, 7_200_000_000),
        concurrent_us=np.full(stream.jobs, 7_200_000_000),
    )
    minutes = Completions(late, LADDER).minutes
    assert minutes.n[:120].sum() == minutes.m[:120].sum() == 0
    assert minutes.n[120:].sum() > 0
    tails = Completions(late, LADDER).tails(concurrent=True)
    assert np.isnan(tails[:120]).all()
    assert set(tails[~np.isnan(tails)]) == {7200.0}


def test_tails_are_those_of_each_minute() -> None:
    """The 95th percentile by rank, of that path alone."""
    stream = drawn()
    done = Completions(stream, LADDER)
    tails = done.tails(concurrent=False)
    inside = stream.position < np.uint64(2**64 // 10)
    ends = (stream.at_us + stream.legacy_us - stream.at_us[0] * 0) // 60_000_000
    first = int(START.timestamp()) // 60
    minute = int(np.flatnonzero(~np.isnan(tails[:1000]))[500])
    mine = np.sort(stream.legacy_us[~inside & (ends == first + minute)]) / 1e6
    assert tails[minute] == mine[int(np.ceil(0.95 * mine.size)) - 1]


def test_who_rolls_back_when_everything_fails() -> None:
    """Cumulative checks, z and CUSUM do within the hour; before it nothing was wrong."""
    stream = replace(drawn(), concurrent_failed=np.zeros(drawn().jobs, dtype=bool))
    injection = Injection(1.5, errors=1.0)
    at = injection.at(START, 86_400)
    assert by_name(stream)["Flagger-style"].rolled_back_at is None
    hurt = by_name(injection.into(stream, at))
    for name in ("Flagger-style", "Argo-style", "naive z each minute", "CUSUM told the true rate"):
        back = hurt[name].rolled_back_at
        assert back is not None
        assert at < back < at + timedelta(hours=1)
        assert hurt[name].scope_bp == 5000
    done = climb(injection.into(stream, at), LADDER, 0.005)[1]
    exposed = done.exposed(at, at + timedelta(hours=1))
    assert exposed.failed == exposed.seen == pytest.approx(208, rel=0.3)
