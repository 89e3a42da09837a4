"""What the revert tests once could not see; each test here failed before its flaw was mended.

Numbers are those of the method's table of flaws (small-pilots, section 7).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from rollout.evidence.buckets import bucket_index
from rollout.evidence.thresholds import Thresholds
from rollout.jobs.claims import JobState
from rollout.pilot.fold import Finished, Frame, fold_finished
from rollout.pilot.trial import EARLY_S_MAX
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policies, Policy
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.job_stream import JobStream
from rollout.rehearsal.rehearse import Plan, Rehearsed, rehearse
from rollout.rehearsal.stream_draw import Drawing, draw_stream
from rollout.rehearsal.stream_ledger import StreamLedger
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import Event, Stage
from tests.builders import NAME, NOW, split

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
HALF_AN_HOUR_S = 1800.0


def drawn(jobs_a_day: float, days: float, median_s: float = 2.0, rate: float = 0.0) -> JobStream:
    """Two days on legacy, then the trial; both paths alike."""
    drawing = Drawing(jobs_a_day, rate, median_s, 0.5, 3)
    return draw_stream(NAME, drawing, START - timedelta(days=2), days + 2)


def played(stream: JobStream, days: float, scope_bp: int) -> tuple[Rehearsed, StreamLedger]:
    """The judgement on these jobs, at a scope set by hand."""
    ledger = StreamLedger(stream)
    end = START + timedelta(days=days)
    plan = Plan(stream.begins_at, START, end, Policies(), scope_bp, tick_s=600.0, wider_s=60.0)
    return rehearse(ledger, plan), ledger


def test_failures_at_the_end_of_long_jobs_are_seen() -> None:
    """Jobs of half an hour that all fail at their end: windows wait until most have ended."""
    stream = Injection(0.0, errors=1.0).into(drawn(1000, 4, HALF_AN_HOUR_S), START)
    done, ledger = played(stream, 4, 1250)
    assert done.reverted_at is not None
    assert done.state.stage is Stage.LEGACY
    assert ledger.exposed(START, done.reverted_at).seen <= 60


def test_a_total_failure_of_long_jobs_is_seen_while_they_are_young() -> None:
    """Legacy takes half an hour, the concurrent path fails at once: five minutes are enough."""
    stream = drawn(20_000, 1, HALF_AN_HOUR_S)
    hurt = stream.since(START)
    taken, failed = stream.concurrent_us.copy(), stream.concurrent_failed.copy()
    taken[hurt], failed[hurt] = 1_000_000, True
    ledger = StreamLedger(stream.with_concurrent(taken, failed))
    plan = Plan(
        stream.begins_at, START, START + timedelta(hours=4), Policies(), 1250, worse_at=START
    )
    done = rehearse(ledger, plan)
    assert done.reverted_at is not None
    assert done.reverted_at - START < timedelta(minutes=12)
    sentence = next(one.sentence for one in done.decisions if one.action == "revert")
    assert "fails nearly everywhere" in sentence


def test_young_and_old_windows_are_each_taken_in_once() -> None:
    """The fast path goes on alone where legacy's jobs are long, and its jobs count once."""
    long = Thresholds(bucket_index(HALF_AN_HOUR_S), bucket_index(2 * HALF_AN_HOUR_S))
    trial = begin(split(5000), (None, None), Policy(), long, NOW)
    assert trial.early_from() == NOW
    assert trial.early_settle_s() == EARLY_S_MAX
    assert trial.settle_s() > 2 * HALF_AN_HOUR_S * 0.98
    short = replace(trial, thresholds=Thresholds(bucket_index(1.0), bucket_index(2.0)))
    assert short.early_from() is None


def test_bad_inputs_do_not_hide_failures_of_the_path() -> None:
    """5 % bad inputs on both paths, 5 % failures of the new one: reverted, in two weeks at most."""
    stream = drawn(1000, 14)
    rng = np.random.default_rng(5)
    bad, own = rng.random((2, stream.jobs)) < 0.05
    hurt = stream.since(START)
    failed = bad.copy()
    failed[hurt] |= own[hurt]
    stream = replace(stream, legacy_failed=bad).with_concurrent(stream.concurrent_us, failed)
    done, _ = played(stream, 14, 2500)
    assert done.reverted_at is not None
    assert done.reverted_at - START < timedelta(days=14)


def test_bad_inputs_alone_revert_nothing() -> None:
    """The same inputs fail on both paths: counted alike, they say nothing against one."""
    stream = drawn(1000, 10)
    bad = np.random.default_rng(6).random(stream.jobs) < 0.05
    stream = replace(stream, legacy_failed=bad).with_concurrent(stream.concurrent_us, bad)
    done, _ = played(stream, 10, 2500)
    assert done.reverted_at is None
    assert any(one.event is Event.START for one in done.changes)


def test_a_failed_job_is_no_fast_job() -> None:
    """It failed within a tenth of a second: it counts as slow and as late all the same."""
    thresholds = Thresholds(bucket_index(2.0), bucket_index(10.0))
    frame = Frame(1, 1, NOW, 3600.0, thresholds, True)
    jobs = [
        Finished(
            NAME,
            JobPath.LEGACY,
            JobPath.LEGACY,
            state,
            Reason.OUT_OF_SCOPE,
            1,
            None,
            None,
            None,
            NOW,
            NOW,
            NOW + timedelta(seconds=0.1),
        )
        for state in (JobState.FAILED, JobState.COMMITTED)
    ]
    folded = fold_finished(jobs, {NAME: frame}, {})
    (total,) = folded.hours.values()
    assert (total.jobs, total.failed, total.slow_median, total.slow_tail) == (2, 1, 1, 1)
