"""Cycle times in log buckets: 1 % relative error from 1 ms to 24 h in 915 numbers.

The histogram of the legacy path sets the thresholds of the next day, and nothing else: the tests
count jobs beyond a threshold, so neither the sketch error nor a heavy tail enters them.

Source: Masson, Rim & Lee, "DDSketch", VLDB 2019; evidence method, section 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator

from rollout.evidence.counts import JOBS_MAX, check_count
from rollout.evidence.errors import BadDuration, BadRate, BadState
from rollout.evidence.stored import Count, Json, read_as

GROWTH = 1.01 / 0.99
"""Upper edge over lower edge of a bucket: the middle is within 1 % of everything in it."""

BUCKET_MAX = 914
"""The bucket of 24 h; longer jobs are counted here."""

DURATION_S_MAX = 30 * 86_400.0
"""No job is believed to run longer than 30 days: such a duration is a broken clock."""

_LOG_GROWTH = math.log(GROWTH)


def bucket_index(duration_s: float) -> int:
    """Find the bucket of a duration.

    Args:
        duration_s: Seconds, 0..30 days. Under 1 ms counts as 1 ms, over 24 h as 24 h.

    Returns:
        0..914; bucket i holds the durations in (GROWTH**(i-1), GROWTH**i] ms.

    Raises:
        BadDuration: NaN, negative, or longer than 30 days.
    """
    if not 0.0 <= duration_s <= DURATION_S_MAX:
        raise BadDuration(
            f"duration_s must lie in 0..{DURATION_S_MAX:.0f}",
            duration_s,
            "leave this job out and report it; its clock went backwards or was never set",
        )
    milliseconds = duration_s * 1000.0
    if milliseconds <= 1.0:
        return 0
    return min(math.ceil(math.log(milliseconds) / _LOG_GROWTH), BUCKET_MAX)


def bucket_edge_s(index: int) -> float:
    """Give the longest duration of a bucket, in seconds."""
    return math.exp(index * _LOG_GROWTH) / 1000.0


def _check(index: int, count: int) -> None:
    whole = type(index) is int and type(count) is int
    if not (whole and 0 <= index <= BUCKET_MAX and 0 <= count <= JOBS_MAX):
        check_count("bucket", index, BUCKET_MAX)
        check_count("jobs in a bucket", count)


_WHOLE = {int}


def _check_all(jobs: Mapping[int, int]) -> None:
    """The same for many at once, without a line of Python for each."""
    counts = jobs.values()
    whole = jobs and {*map(type, jobs), *map(type, counts)} == _WHOLE
    inside = whole and min(jobs) >= 0 and max(jobs) <= BUCKET_MAX
    if inside and min(counts) >= 0 and max(counts) <= JOBS_MAX:
        return
    for index, count in jobs.items():
        _check(index, count)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Jobs per bucket; an immutable value, sparse, a few KB at most."""

    jobs: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, count in self.jobs.items():
            _check(index, count)

    @property
    def total(self) -> int:
        """Jobs in all buckets."""
        return sum(self.jobs.values())

    def add(self, durations_s: list[float]) -> Histogram:
        """Count more jobs; raises BadDuration and counts none when one of them is refused."""
        return self.add_counted(Counter([bucket_index(duration_s) for duration_s in durations_s]))

    def add_counted(self, more: Mapping[int, int]) -> Histogram:
        """Count more jobs, given per bucket; raises BadCounts."""
        jobs = dict(self.jobs)
        for index, count in more.items():
            jobs[index] = jobs.get(index, 0) + count
        # All others were checked before: a fold adds a few to hundreds of buckets.
        _check_all({index: jobs[index] for index in more})
        added = object.__new__(Histogram)
        object.__setattr__(added, "jobs", jobs)
        return added

    def quantile_bucket(self, quantile: float) -> int | None:
        """Find the bucket that holds a quantile.

        Args:
            quantile: In (0, 1]; 0.5 is the median.

        Returns:
            The lowest bucket with at least that share of all jobs at or below it; None when
            nothing was counted.

        Raises:
            BadRate: The quantile is outside (0, 1].
        """
        if not 0.0 < quantile <= 1.0:
            raise BadRate("quantile must lie in (0, 1]", quantile, "0.5 is the median")
        wanted = quantile * self.total
        seen = 0
        for index in sorted(self.jobs):
            seen += self.jobs[index]
            if seen >= wanted and seen > 0:
                return index
        return None

    def above(self, index: int) -> int:
        """Count the jobs in buckets beyond `index`: the slow ones at that threshold."""
        return sum(count for bucket, count in self.jobs.items() if bucket > index)

    def to_json(self) -> Json:
        """Give a plain object, bucket to count."""
        return {str(index): self.jobs[index] for index in sorted(self.jobs)}

    @classmethod
    def from_json(cls, payload: Json) -> Histogram:
        """Read what `to_json` gave; raises BadState or BadCounts."""
        return cls(read_as(_Buckets, payload))


def _bucket(key: str) -> int:
    """A bucket's number from the text that JSON makes of a key."""
    if not key.isdecimal():
        raise BadState("a histogram must map buckets to counts", key, "count it again")
    return int(key)


_Buckets = dict[Annotated[Count, BeforeValidator(_bucket)], Count]
