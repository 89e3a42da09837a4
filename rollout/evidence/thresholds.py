"""When a job is slow: beyond a quantile that legacy showed yesterday.

Once a day the legacy histogram gives two thresholds, its median and its 95th percentile. A job is
slow when it takes longer, finished or not.

Source: evidence method, sections 1, 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.buckets import GROWTH, Histogram, bucket_index

REVERT_SHIFT = 2
"""Buckets by which the concurrent path may be slower before the revert test counts it: 4.1 %."""

THRESHOLD_JOBS_MIN = 100
"""Fewer legacy jobs in a day give no 95th percentile worth testing against."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Yesterday's legacy median and 95th percentile, as buckets."""

    median: int
    tail: int

    @classmethod
    def from_legacy(cls, yesterday: Histogram) -> Thresholds | None:
        """Read the thresholds off a day of legacy jobs; None when there were too few."""
        if yesterday.total < THRESHOLD_JOBS_MIN:
            return None
        median, tail = yesterday.quantile_bucket(0.5), yesterday.quantile_bucket(0.95)
        return None if median is None or tail is None else cls(median, tail)


def is_slow(duration_s: float, threshold: int, shift: int = 0) -> bool:
    """Say whether a job took longer than a threshold.

    Args:
        duration_s: Cycle time, or the age so far of a job that still runs; seconds.
        threshold: Bucket of the legacy path.
        shift: Buckets of margin: 0 for legacy jobs, `REVERT_SHIFT` for concurrent ones.

    Raises:
        BadDuration: NaN, negative or absurd; see `bucket_index`.
    """
    return bucket_index(duration_s) > threshold + shift


def slowdown(buckets: int) -> float:
    """Give a shift in buckets as a ratio of times, such as 1.041 for 2."""
    return GROWTH**buckets
