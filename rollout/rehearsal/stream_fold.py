"""Finished jobs of a stream into totals and profile: `pilot.fold` on whole columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rollout.pilot.fold import Sum
from rollout.pilot.profile import Lately
from rollout.pilot.trial import Trial
from rollout.rehearsal.job_stream import SECOND_US, Flags, Whole, us_of
from rollout.rehearsal.stream_jobs import StreamJobs, buckets_of, edge_of
from rollout.routing.decision import JobPath


def lately(jobs: StreamJobs, which: Whole) -> Lately:
    """What finished jobs, in the order of their end, show of legacy, but for their times."""
    rows = jobs.columns
    ran = which[rows.by_legacy[which]]
    failed = rows.failed[which]
    assigned = ~rows.concurrent[which]
    return Lately(
        int(which.size),
        int(ran.size),
        int(rows.finish_us[ran[-1]]) / SECOND_US if ran.size else None,
        (jobs.stream.legacy_us[ran] / SECOND_US).tolist(),
        int(np.count_nonzero(assigned)),
        int(np.count_nonzero(failed & assigned)),
        {},
    )


def cycle_times(jobs: StreamJobs, which: Whole) -> Lately:
    """Cycle times of finished jobs that were assigned to legacy, and nothing else of them."""
    rows = jobs.columns
    assigned = which[~rows.concurrent[which]]
    counts = np.bincount(buckets_of(rows.finish_us[assigned] - jobs.stream.at_us[assigned]))
    buckets = np.flatnonzero(counts)
    cycles = dict(zip(buckets.tolist(), counts[buckets].tolist(), strict=True))
    return Lately(0, 0, None, (), 0, 0, cycles)


def hours_gained(
    jobs: StreamJobs, which: Whole, trial: Trial
) -> Iterator[tuple[int, JobPath, Sum]]:
    """What finished jobs add to the hours of the trial's step."""
    rows, stream = jobs.columns, jobs.stream
    which = which[stream.at_us[which] >= us_of(trial.began_at)]
    if not which.size or not trial.on_trial:
        return
    since_s = (stream.at_us[which] - us_of(trial.began_at)) / SECOND_US
    hours = np.floor_divide(since_s, trial.hour_s).astype(np.int64)
    taken = rows.finish_us[which] - stream.at_us[which]
    moved = rows.concurrent[which] & (rows.moved_us[which] <= rows.finish_us[which])
    bad = rows.failed[which]
    for path in JobPath:
        concurrent = path is JobPath.CONCURRENT
        mine = rows.concurrent[which] == concurrent
        both = mine & bad & concurrent
        judged = mine & ~both
        failed = judged & (moved if concurrent else bad)
        slow = [np.zeros(which.size, dtype=np.bool_)] * 2
        if trial.thresholds is not None:
            slow = [
                judged & (failed | (taken > edge_of(trial.thresholds.median))),
                judged & (failed | (taken > edge_of(trial.thresholds.tail))),
            ]
        first = int(hours.min())
        counted = [_per(hours - first, one) for one in (judged, failed, both, *slow)]
        for hour in np.flatnonzero(_per(hours - first, mine)):
            jobs_in, failures, both_in, median, tail = (int(one[hour]) for one in counted)
            yield first + int(hour), path, Sum(jobs_in, failures, both_in, 0, median, tail)


def _per(hours: Whole, which: Flags) -> Whole:
    return np.bincount(hours[which], minlength=int(hours.max()) + 1)
