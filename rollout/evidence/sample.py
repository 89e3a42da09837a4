"""What one path did in one window of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rollout.evidence.buckets import DURATION_S_MAX
from rollout.evidence.counts import check_count
from rollout.evidence.errors import BadDuration, EvidenceError

AGE_S_MAX = 3650 * 86_400.0
"""No open job is believed to be older than ten years: such an age is a broken clock."""


class BadTime(EvidenceError):
    """A time that cannot be: without a zone, or not after the one before it."""


@dataclass(frozen=True, slots=True)
class PathSample:
    """One window of one path, by assigned path: a job rescued by legacy stays with concurrent.

    Windows follow each other without gaps: a window begins where the one before it ended.

    Attributes:
        at: End of the window, aware.
        jobs: Jobs that finished in the window.
        failed: Those of them that failed; on the concurrent path those that fell back.
        p95_s: 95th percentile of their cycle times in seconds, 0..30 days; None when none did.
        oldest_s: Age of the oldest unfinished job at the end of the window in seconds; 0 when
            none is open.

    Raises:
        BadTime: `at` has no time zone.
        BadCounts: A number is negative, no `int`, absurd, or more failed than finished.
        BadDuration: NaN, negative, infinite or absurd, or a `p95_s` without jobs (or none with).
    """

    at: datetime
    jobs: int
    failed: int
    p95_s: float | None
    oldest_s: float

    @classmethod
    def idle(cls, at: datetime) -> PathSample:
        """Give the window in which nothing finished and at whose end nothing is open."""
        return cls(at, 0, 0, None, 0.0)

    @classmethod
    def of(
        cls,
        at: datetime,
        finished: Iterable[tuple[bool, float]],
        oldest_at: datetime | None,
    ) -> PathSample:
        """Sum a window up.

        Args:
            at: End of the window, aware.
            finished: Whether each job that finished in it failed, and its cycle time in seconds;
                a time under 0 (a clock went back) counts as 0, one over 30 days as 30 days.
            oldest_at: Since when the oldest open job could run; None when none is open.
        """
        jobs = list(finished)
        times = sorted(min(max(0.0, took_s), DURATION_S_MAX) for _, took_s in jobs)
        # Nearest rank, in whole numbers: 0.95 times a whole number may fall short of one.
        p95_s = times[-(-95 * len(times) // 100) - 1] if times else None
        age_s = 0.0 if oldest_at is None else max(0.0, (at - oldest_at).total_seconds())
        return cls(at, len(jobs), sum(failed for failed, _ in jobs), p95_s, age_s)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise BadTime("a window must end at an aware time", self.at, "pass the clock's time")
        check_count("jobs", self.jobs)
        check_count("failed", self.failed, self.jobs)
        hint = "leave this window out and report it; a clock went backwards or was never set"
        if (self.p95_s is None) != (self.jobs == 0):
            expected = "p95_s must be there when jobs finished, and None when none did"
            raise BadDuration(expected, (self.jobs, self.p95_s), hint)
        if self.p95_s is not None and not 0.0 <= self.p95_s <= DURATION_S_MAX:
            raise BadDuration(f"p95_s must lie in 0..{DURATION_S_MAX:.0f}", self.p95_s, hint)
        if not 0.0 <= self.oldest_s <= AGE_S_MAX:
            raise BadDuration(f"oldest_s must lie in 0..{AGE_S_MAX:.0f}", self.oldest_s, hint)
