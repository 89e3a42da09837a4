"""Cycle time of a job, from acceptance to commit, in fixed buckets for the metrics."""

from bisect import bisect_left

BUCKETS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
)  # fmt: skip
"""Upper bounds in seconds, from a few milliseconds to a day."""


def bucket_of(seconds: float) -> float:
    """Upper bound of the bucket a cycle time falls into; infinity past a day."""
    index = bisect_left(BUCKETS_S, seconds)
    return BUCKETS_S[index] if index < len(BUCKETS_S) else float("inf")
