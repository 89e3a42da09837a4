"""Finished jobs of a stream into totals and profile: `pilot.fold` on whole columns.

A tick finishes few jobs, and numpy takes thousands at the price of a few. So what is asked seldom
(the histogram of today, the hours of a step) is counted when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from rollout.pilot.fold import SUMS, Sum
from rollout.pilot.ports import HourRow
from rollout.pilot.profile import Lately, LegacyProfile
from rollout.pilot.trial import Trial
from rollout.rehearsal.job_stream import SECOND_US, Flags, Whole, us_of
from rollout.rehearsal.stream_jobs import StreamJobs, buckets_of, edge_of
from rollout.routing.decision import JobPath


class StreamTotals:
    """What the finished jobs of a stream add up to, for a ledger that says which trial stands.

    Attributes:
        profile: What legacy showed. Its histogram of today lacks the newest jobs until
            `whole_profile` or the end of the day.
    """

    def __init__(self, jobs: StreamJobs) -> None:
        self.profile = LegacyProfile()
        self._jobs = jobs
        self._hours: dict[int, dict[tuple[int, JobPath], Sum]] = {}
        self._untimed: list[Whole] = []
        self._unhoured: list[Whole] = []

    def add(self, taken: Whole, trial: Trial | None) -> None:
        """Take in finished jobs, in the order of their end, under the trial that stands."""
        self.profile = self.profile.add_counted(lately(self._jobs, taken))
        self._untimed.append(taken)
        if self.profile.thresholds is None:
            self.whole_profile()
        if trial is not None and trial.on_trial:
            self._unhoured.append(taken)

    def pass_time(self, now: datetime, day_s: float, running: int) -> None:
        """Close the day and the span of the profile that are over."""
        after = self.profile.pass_time(now, day_s, running)
        if after.day != self.profile.day:
            after = self.whole_profile().pass_time(now, day_s, running)
        self.profile = after

    def whole_profile(self) -> LegacyProfile:
        """The profile, all that was taken in included."""
        if self._untimed:
            taken = np.concatenate(self._untimed)
            self._untimed.clear()
            self.profile = self.profile.add_counted(cycle_times(self._jobs, taken))
        return self.profile

    def close(self, trial: Trial | None) -> None:
        """Count the hours of what was taken in under a trial that will stand no longer."""
        if trial is None or not self._unhoured:
            return
        taken = np.concatenate(self._unhoured)
        self._unhoured.clear()
        hours = self._hours.setdefault(trial.step, {})
        for hour, path, gained in hours_gained(self._jobs, taken, trial):
            total = hours.setdefault((hour, path), Sum())
            for field in SUMS:
                setattr(total, field, getattr(total, field) + getattr(gained, field))

    def hours(self, trial: Trial | None, step: int) -> list[HourRow]:
        """The totals of a step; `trial` is the one that stands."""
        self.close(trial)
        counted = self._hours.get(step, {})
        return [
            HourRow(hour, path, *(getattr(total, field) for field in SUMS))
            for (hour, path), total in sorted(counted.items(), key=_first)
        ]


def frame_of(trial: Trial) -> tuple[object, ...]:
    """What the hours of finished jobs depend on; a change of it closes what was taken in."""
    return (trial.step, trial.began_at, trial.hour_s, trial.thresholds, trial.on_trial)


def _first(row: tuple[tuple[int, JobPath], Sum]) -> tuple[int, JobPath]:
    return row[0]


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
