"""Windows of admission of a stream, as the controller's judgement reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from rollout.pilot.ports import OpenSlow, WindowRow
from rollout.pilot.trial import Trial, edge_us
from rollout.rehearsal.job_stream import SECOND_US, Flags, time_of, us_of
from rollout.rehearsal.stream_jobs import NEVER, StreamJobs
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
    which = slice(begin, end)
    at, concurrent = jobs.stream.at_us[which], jobs.columns.concurrent[which]
    flags = _flags(jobs, which, trial, now_us)
    number = at // length
    starts = np.concatenate([[0], np.flatnonzero(number[1:] != number[:-1]) + 1])
    of_both = np.add.reduceat(flags, starts, axis=1, dtype=np.int64)
    of_concurrent = np.add.reduceat(flags & concurrent, starts, axis=1, dtype=np.int64)
    wide = timedelta(microseconds=length)
    columns = zip(
        number[starts].tolist(),
        (of_both - of_concurrent).T.tolist(),
        of_concurrent.T.tolist(),
        strict=True,
    )
    for place, legacy, new in columns:
        begin_at = time_of(place * length)
        end_at = begin_at + wide
        for path, counted in ((JobPath.LEGACY, legacy), (JobPath.CONCURRENT, new)):
            admitted, judged, failed, both, median, tail = counted
            if admitted:
                yield WindowRow(
                    jobs.stream.name,
                    path,
                    begin_at,
                    end_at,
                    admitted,
                    judged,
                    failed,
                    both,
                    0,
                    median,
                    tail,
                )


def _flags(jobs: StreamJobs, which: slice, trial: Trial, now_us: int) -> Flags:
    """What is seen of each job by now: admitted, judged, failed, failed on both, slow twice."""
    rows, at = jobs.columns, jobs.stream.at_us[which]
    finish, concurrent = rows.finish_us[which], rows.concurrent[which]
    bad = rows.failed[which] & (finish <= now_us)
    fell_back = rows.moved_us[which] <= now_us
    taken = np.minimum(finish, now_us) - at
    old_median, old_tail, new_median, new_tail = trial.edges_us() or (NEVER,) * 4
    flags = np.empty((6, at.size), dtype=np.bool_)
    flags[0] = True
    both = flags[3] = bad & fell_back
    judged = flags[1] = ~both
    # Legacy's own failure, or the concurrent path's that legacy made good: never both of them.
    failed = flags[2] = bad ^ fell_back
    flags[4] = failed | (judged & (taken > np.where(concurrent, new_median, old_median)))
    flags[5] = failed | (judged & (taken > np.where(concurrent, new_tail, old_tail)))
    return flags


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
