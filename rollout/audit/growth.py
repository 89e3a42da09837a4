"""The deadline: when arrivals pass what the system has shown it can do in a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from rollout.audit.job_log import DAY_S
from rollout.audit.ranks import slope

DAYS_MIN = 14
YEAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class Growth:
    """Arrivals a day and where they lead.

    Attributes:
        days: Whole days that were counted.
        now_a_day: Arrivals a day at the end of the log, by the trend.
        more_a_day: By how many a day they grow each day, with its range of 95 %.
        capacity_a_day: What the workers can do in a day at the run times of this log.
        on: Day on which arrivals pass it; None when not within a year.
        earliest, latest: Its range; None when not within a year.
    """

    days: int
    now_a_day: float
    more_a_day: tuple[float, float, float]
    capacity_a_day: float
    on: date | None
    earliest: date | None
    latest: date | None


def growth_of(by_day: Mapping[int, int], capacity_a_day: float) -> Growth | None:
    """Extrapolate the arrivals; None with fewer than two weeks of whole days.

    The first and the last day are mostly cut off and left out; days without arrivals count as 0.
    With four weeks and more, weeks are compared, so that week-ends are no trend.
    """
    if not by_day:
        return None
    first, last = min(by_day) + 1, max(by_day) - 1
    days = list(range(first, last + 1))
    if len(days) < DAYS_MIN:
        return None
    xs = [float(one) for one in days]
    ys = [float(by_day.get(one, 0)) for one in days]
    if len(days) >= 28:
        weeks = len(days) // 7
        begin = len(days) - weeks * 7
        xs = [sum(xs[at : at + 7]) / 7 for at in range(begin, len(days), 7)]
        ys = [sum(ys[at : at + 7]) / 7 for at in range(begin, len(days), 7)]
    more, low, high = slope(xs, ys)
    middle = sorted(y - more * x for x, y in zip(xs, ys, strict=True))[len(xs) // 2]
    now = middle + more * last
    return Growth(
        len(days), now, (more, low, high), capacity_a_day,
        _when(last, now, more, capacity_a_day), _when(last, now, high, capacity_a_day),
        _when(last, now, low, capacity_a_day),
    )  # fmt: skip


def _when(day: int, now: float, more: float, capacity: float) -> date | None:
    if now >= capacity:
        return _date(day)
    if more <= 0:
        return None
    left = (capacity - now) / more
    return _date(day) + timedelta(days=int(left)) if left <= YEAR_DAYS else None


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY_S, UTC).date()
