"""Can this traffic prove a step at all? The chance that a healthy path passes its error gate.

Source: evidence method, section 5: 350 concurrent jobs a week pass a 0.5 % gate by week 4 only
36 % of the time.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts, check_count
from rollout.evidence.errors import BadRate
from rollout.evidence.promotion import LOOKS_MAX, Z_LIMIT, score

JOBS_A_WEEK_MAX = 10_000_000
"""Where the search for enough traffic gives up."""

RATE_MIN = 1e-15
"""A smaller rate is none: ten million jobs do not show it, and scipy's binomial overflows on it."""


def failures_allowed(
    n_concurrent: int, n_legacy: int, rate: float, margin: Margin, z_limit: float = Z_LIMIT
) -> int:
    """Give the largest number of concurrent failures that still passes; -1 when none does."""
    k_legacy = round(rate * n_legacy)

    def passes(k: int) -> bool:
        z = score(Counts(n_concurrent, k, n_legacy, k_legacy), margin)
        return z is not None and z <= z_limit

    low, high = -1, n_concurrent
    while low < high:
        middle = (low + high + 1) // 2
        if passes(middle):
            low = middle
        else:
            high = middle - 1
    return low


def pass_chance(
    concurrent_per_week: int,
    legacy_per_week: int,
    rate: float,
    margin: Margin,
    weeks: int,
    z_limit: float = Z_LIMIT,
) -> float:
    """Give the chance that equal paths pass the error gate at one of the first weekly looks.

    Exact in the concurrent failures; the legacy rate is taken as known, since legacy has many
    more jobs wherever this question matters.

    Args:
        concurrent_per_week: Concurrent jobs a week, >= 1.
        legacy_per_week: Legacy jobs a week, >= 1.
        rate: Failure rate of both paths, 0..1.
        margin: The margin of the step.
        weeks: Looks, 1..4.
        z_limit: Score that passes a look.

    Returns:
        In 0..1.

    Raises:
        BadRate: `rate` or `weeks` is out of range.
        BadCounts: No jobs.
    """
    if not 0.0 <= rate <= 1.0 or not 1 <= weeks <= LOOKS_MAX:
        raise BadRate("a rate in 0..1 and 1..4 weeks are needed", (rate, weeks), "check both")
    check_count("jobs a week", concurrent_per_week - 1, JOBS_A_WEEK_MAX)
    check_count("jobs a week", legacy_per_week - 1)
    if rate < RATE_MIN:
        rate = 0.0
    # Beyond this many failures a week the chance is far below rounding error.
    k_max = int(binom.ppf(1 - 1e-12, concurrent_per_week, rate)) + 1
    week = binom.pmf(np.arange(k_max + 1), concurrent_per_week, rate)
    not_passed = np.ones(1)
    for look in range(1, weeks + 1):
        not_passed = np.convolve(not_passed, week)
        n_concurrent, n_legacy = look * concurrent_per_week, look * legacy_per_week
        allowed = failures_allowed(n_concurrent, n_legacy, rate, margin, z_limit)
        not_passed[: allowed + 1] = 0.0
    return min(1.0, max(0.0, 1.0 - float(not_passed.sum())))


def jobs_needed(
    rate: float,
    margin: Margin,
    share: float,
    weeks: int = 1,
    chance: float = 0.95,
    z_limit: float = Z_LIMIT,
) -> int | None:
    """Find how many concurrent jobs a week let equal paths pass with this chance.

    Args:
        rate: Failure rate of both paths, 0..1.
        margin: The margin of the step.
        share: Share of jobs on the concurrent path, in (0, 1).
        weeks: Looks allowed, 1..4.
        chance: Wanted chance to pass, in (0, 1).
        z_limit: Score that passes a look.

    Returns:
        Jobs a week, to within 1 %; None when ten million are not enough.

    Raises:
        BadRate: A share or a chance is out of range.
    """
    if not 0.0 < share < 1.0 or not 0.0 < chance < 1.0:
        raise BadRate("share and chance must lie in (0, 1)", (share, chance), "check both")

    def enough(jobs: int) -> bool:
        legacy = max(1, round(jobs * (1 - share) / share))
        return pass_chance(jobs, legacy, rate, margin, weeks, z_limit) >= chance

    high = 16
    while not enough(high):
        high *= 2
        if high > JOBS_A_WEEK_MAX:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high
