"""Windows of admission of a stream, as the controller's judgement reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from rollout.pilot.ports import OpenSlow, WindowRow
from rollout.pilot.trial import Trial, edge_us
from rollout.rehearsal.job_stream import SECOND_US, time_of, us_of
from rollout.rehearsal.stream_jobs import StreamJobs
from rollout.routing.decision import JobPath


def windows(
    jobs: StreamJobs,
    trial: Trial,
    now: datetime,
    wider_us: int,
    since: datetime | None = None,
    settle_s: float | None = None,
) -> Iterator[WindowRow]:
    """Count what was admitted in each window that is old enough and not yet in the trial.

    Args:
        jobs: All that was admitted.
        trial: Its windows begin where it was scored to.
        now: Aware time.
        wider_us: Windows are at least so wide, 0 for as wide as the trial says.
        since: Where they begin; None for where it was scored to.
        settle_s: Seconds after which a window is judged; None for those of the trial.
    """
    now_us = us_of(now)
    length = max(round(trial.window_s * SECOND_US), wider_us)
    settle_us = round((trial.settle_s() if settle_s is None else settle_s) * SECOND_US)
    ripe = ((now_us - settle_us) // length) * length
    begin, end = jobs.before(us_of(since or trial.scored_to)), min(jobs.before(ripe), jobs.admitted)
    if begin >= end:
        return
    rows, which = jobs.columns, slice(begin, end)
    at, finish, moved = jobs.stream.at_us[which], rows.finish_us[which], rows.moved_us[which]
    concurrent, done = rows.concurrent[which], finish <= now_us
    number = at // length
    first = int(number[0])
    place = (number - first) * 2 + concurrent
    fell_back = (moved >= 0) & (moved <= now_us)
    both = fell_back & rows.failed[which] & done
    judged = ~both
    failed = judged & np.where(concurrent, fell_back, rows.failed[which] & done)
    taken = np.minimum(finish, now_us) - at
    old_median, old_tail, new_median, new_tail = trial.edges_us() or (2**62,) * 4
    slow_median = judged & (failed | (taken > np.where(concurrent, new_median, old_median)))
    slow_tail = judged & (failed | (taken > np.where(concurrent, new_tail, old_tail)))
    size = int(place[-1] | 1) + 1
    admitted = np.bincount(place, minlength=size)
    counted = [
        np.bincount(place[one], minlength=size)
        for one in (judged, failed, both, slow_median, slow_tail)
    ]
    for cell in np.flatnonzero(admitted):
        begin_us = (first + int(cell) // 2) * length
        good, bad, both_in, median, tail = (int(one[cell]) for one in counted)
        yield WindowRow(
            jobs.stream.name,
            JobPath.CONCURRENT if cell % 2 else JobPath.LEGACY,
            time_of(begin_us),
            time_of(begin_us + length),
            int(admitted[cell]),
            good,
            bad,
            both_in,
            0,
            median,
            tail,
        )


def open_slow(jobs: StreamJobs, trial: Trial, now: datetime) -> list[OpenSlow]:
    """Count unfinished jobs of the trial's step that are slow already."""
    if trial.thresholds is None:
        return []
    now_us, found = us_of(now), trial.thresholds
    waiting = jobs.unfinished(now_us)
    waiting = waiting[jobs.stream.at_us[waiting] >= us_of(trial.began_at)]
    age = now_us - jobs.stream.at_us[waiting]
    counted = []
    for path in JobPath:
        concurrent = path is JobPath.CONCURRENT
        mine = age[jobs.columns.concurrent[waiting] == concurrent]
        median, tail = edge_us(found.median), edge_us(found.tail)
        if mine.size:
            counted.append(OpenSlow(path, int((mine > median).sum()), int((mine > tail).sum())))
    return counted
