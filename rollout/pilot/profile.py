"""What legacy showed lately: thresholds of a slow job, its failure rate, what it can carry.

Filled from finished jobs by the fold; a few KB of JSON a sub-pipeline, nearly all of them the
histogram of today. Kept in every stage, so that a trial begins with thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollout.evidence.buckets import Histogram, bucket_index
from rollout.evidence.stored import Json, read_count, read_list, read_number, read_object
from rollout.evidence.thresholds import THRESHOLD_JOBS_MIN, Thresholds
from rollout.policy.way import Baseline

DAYS_KEPT = 7
"""Days of legacy failures behind the cap of the fast path, the one that runs among them."""

WHOLE_DAYS = 7
"""Days that say how much comes in a week: each weekday once, also those on which nothing comes."""

SPAN_S_MIN = 10.0
"""A rate over less than this is a moment, not a capacity."""

_MEMORY = 0.02
"""Weight of the newest job in the mean run time: the last fifty or so decide."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """One finished job, as far as the profile asks; all times in seconds.

    `cycle_s` None says nothing about legacy's cycle time: it was assigned elsewhere or unjudged.
    """

    finished_at: datetime
    by_legacy: bool
    run_s: float | None
    cycle_s: float | None
    legacy_failed: bool | None


@dataclass(frozen=True, slots=True)
class Lately:
    """Finished jobs, counted.

    Attributes:
        jobs: All of them.
        by_legacy: Those that legacy committed.
        success_at: Epoch seconds of its last commit; None without one.
        runs_s: Run times of those, in the order in which they finished.
        judged: Jobs assigned to legacy that say how often it fails.
        failed: Those of them that failed.
        cycles: Cycle times of jobs assigned to legacy, by bucket.
    """

    jobs: int
    by_legacy: int
    success_at: float | None
    runs_s: Sequence[float]
    judged: int
    failed: int
    cycles: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class LegacyProfile:
    """What is known of legacy.

    Attributes:
        day: Number of the policy's day that `today` belongs to.
        today: Cycle times of jobs assigned to legacy.
        thresholds: Those of the day before; the first hundred jobs give the first ones.
        days: (day, jobs, failures) of jobs assigned to legacy, idle days since the first as well.
        span_at: When the present span of counting began.
        span_legacy: Jobs that legacy has committed in it.
        span_all: Jobs that either path has finished in it.
        peak_per_s: Most jobs a second legacy has committed over a whole span.
        finish_per_s: Jobs a second that were finished in the last whole span.
        mean_run_s: Run time of a job on legacy.
        running_max: Most jobs seen running on legacy at once.
        success_at: Last commit by legacy.
    """

    day: int = 0
    today: Histogram = field(default_factory=Histogram)
    thresholds: Thresholds | None = None
    days: tuple[tuple[int, int, int], ...] = ()
    span_at: float = 0.0
    span_legacy: int = 0
    span_all: int = 0
    peak_per_s: float | None = None
    finish_per_s: float | None = None
    mean_run_s: float | None = None
    running_max: int = 0
    success_at: float | None = None

    def add(self, jobs: Iterable[FinishedJob]) -> LegacyProfile:
        """Count finished jobs; what has an absurd duration was left out before."""
        cycles: Counter[int] = Counter()
        runs: list[float] = []
        failed = judged = legacy = total = 0
        success: float | None = None
        for job in jobs:
            total += 1
            if job.by_legacy:
                legacy += 1
                at = job.finished_at.timestamp()
                success = at if success is None else max(success, at)
                if job.run_s is not None:
                    runs.append(job.run_s)
            if job.legacy_failed is not None:
                judged += 1
                failed += job.legacy_failed
            if job.cycle_s is not None:
                cycles[bucket_index(job.cycle_s)] += 1
        return self.add_counted(Lately(total, legacy, success, runs, judged, failed, cycles))

    def add_counted(self, lately: Lately) -> LegacyProfile:
        """Count finished jobs that were counted before."""
        mean, success = self.mean_run_s, self.success_at
        for run_s in lately.runs_s:
            mean = run_s if mean is None else mean + _MEMORY * (run_s - mean)
        if lately.success_at is not None:
            success = lately.success_at if success is None else max(success, lately.success_at)
        after = replace(
            self,
            today=self.today.add_counted(lately.cycles) if lately.cycles else self.today,
            days=_count_day(self.days, self.day, lately.judged, lately.failed),
            span_legacy=self.span_legacy + lately.by_legacy,
            span_all=self.span_all + lately.jobs,
            mean_run_s=mean,
            success_at=success,
        )
        if after.thresholds is None and after.today.total >= THRESHOLD_JOBS_MIN:
            after = replace(after, thresholds=Thresholds.from_legacy(after.today))
        return after

    def pass_time(self, now: datetime, day_s: float, running: int) -> LegacyProfile:
        """Close the day and the span that are over.

        Args:
            now: Aware time.
            day_s: Seconds of a policy's day.
            running: Jobs that run on legacy now.
        """
        after = self
        if running > self.running_max:
            after = replace(self, running_max=running)
        at, day = now.timestamp(), int(now.timestamp() // day_s)
        if after.success_at is not None and after.success_at > at:
            # By the clock of a worker that runs ahead: until then nobody would see legacy die.
            after = replace(after, success_at=at)
        span_s = max(day_s / 24, SPAN_S_MIN)
        if at - after.span_at >= span_s or at < after.span_at:
            after = after._close_span(at)
        if day != after.day:
            after = after._close_day(day)
        return after

    def _close_span(self, at: float) -> LegacyProfile:
        passed = at - self.span_at
        if self.span_at <= 0.0 or passed <= 0.0:
            return replace(self, span_at=at, span_legacy=0, span_all=0)
        legacy = self.span_legacy / passed
        return replace(
            self,
            span_at=at,
            span_legacy=0,
            span_all=0,
            peak_per_s=max(legacy, self.peak_per_s or 0.0),
            finish_per_s=self.span_all / passed,
        )

    def _close_day(self, day: int) -> LegacyProfile:
        """Take the thresholds from the day that ended; one with too few jobs goes on."""
        thresholds = Thresholds.from_legacy(self.today)
        kept = tuple(one for one in self._with_idle_days(day) if one[0] >= day - WHOLE_DAYS)
        if thresholds is None:
            return replace(self, day=day, days=kept)
        return replace(self, day=day, days=kept, today=Histogram(), thresholds=thresholds)

    def _with_idle_days(self, day: int) -> tuple[tuple[int, int, int], ...]:
        """The days before `day`, since the first that had a job; nothing came on the others."""
        last = self.days[-1][0] if self.days else 0
        if last < day - WHOLE_DAYS:  # nobody has counted since, or the first jobs came before a day
            return ()
        return (*self.days, *((idle, 0, 0) for idle in range(last + 1, day)))

    @property
    def failure_rate(self) -> float | None:
        """Share of jobs assigned to legacy that failed in the last days; None without jobs."""
        lately = [one for one in self.days if one[0] > self.day - DAYS_KEPT]
        jobs = sum(one[1] for one in lately)
        return sum(one[2] for one in lately) / jobs if jobs else None

    @property
    def first_day(self) -> bool:
        """Whether all that was counted is of the day that has not ended."""
        return all(one[0] == self.day for one in self.days)

    @property
    def baseline(self) -> Baseline | None:
        """What the last days were like, while every job was assigned to legacy; None without any.

        The day that is still running tells nothing of how much comes in a day, unless it is alone.
        """
        whole = [one for one in self.days if one[0] != self.day] or list(self.days)
        if not whole:
            return None
        jobs = 7 * sum(one[1] for one in whole) / len(whole)
        return Baseline(float(jobs), self.failure_rate or 0.0) if jobs else None

    @property
    def capacity_per_s(self) -> float | None:
        """Jobs a second that legacy has shown it can carry; None when it has shown nothing.

        The larger of two lower bounds: its busiest whole span, and what the processes that were
        seen running at once can do at the mean run time.
        """
        bounds = [] if self.peak_per_s is None else [self.peak_per_s]
        if self.mean_run_s and self.running_max:
            bounds.append(self.running_max / self.mean_run_s)
        return max(bounds, default=None)

    def success_age(self, now: datetime) -> timedelta | None:
        """How long ago legacy committed a job; None when it never did."""
        if self.success_at is None:
            return None
        return timedelta(seconds=max(0.0, now.timestamp() - self.success_at))

    def to_json(self) -> Json:
        """Give a plain object."""
        thresholds = self.thresholds
        return {
            "day": self.day,
            "today": self.today.to_json(),
            "thresholds": None if thresholds is None else [thresholds.median, thresholds.tail],
            "days": [list(one) for one in self.days],
            "span": [self.span_at, self.span_legacy, self.span_all],
            "peak_per_s": self.peak_per_s,
            "finish_per_s": self.finish_per_s,
            "mean_run_s": self.mean_run_s,
            "running_max": self.running_max,
            "success_at": self.success_at,
        }

    @classmethod
    def from_json(cls, payload: Json) -> LegacyProfile:
        """Read what `to_json` gave; raises BadState."""
        keys = ["day", "today", "thresholds", "days", "span", "peak_per_s", "finish_per_s"]
        stored = read_object(payload, [*keys, "mean_run_s", "running_max", "success_at"])
        thresholds = stored["thresholds"]
        span = read_list(stored["span"], 3)
        return cls(
            read_count(stored["day"]),
            Histogram.from_json(stored["today"]),
            None if thresholds is None else Thresholds(*map(read_count, read_list(thresholds, 2))),
            tuple(_day(one) for one in read_list(stored["days"])),
            read_number(span[0]),
            read_count(span[1]),
            read_count(span[2]),
            _maybe(stored["peak_per_s"]),
            _maybe(stored["finish_per_s"]),
            _maybe(stored["mean_run_s"]),
            read_count(stored["running_max"]),
            _maybe(stored["success_at"]),
        )


def _count_day(
    days: tuple[tuple[int, int, int], ...], day: int, jobs: int, failed: int
) -> tuple[tuple[int, int, int], ...]:
    if not jobs:
        return days
    if days and days[-1][0] == day:
        last = days[-1]
        return (*days[:-1], (day, last[1] + jobs, last[2] + failed))
    return (*days[-WHOLE_DAYS:], (day, jobs, failed))


def _day(payload: Json) -> tuple[int, int, int]:
    day, jobs, failed = map(read_count, read_list(payload, 3))
    return day, jobs, failed


def _maybe(payload: Json) -> float | None:
    return None if payload is None else read_number(payload)
