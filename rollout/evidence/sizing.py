"""Can this traffic prove a step at all? The chance that a healthy path passes its error gate.

Source: evidence method, section 5: 350 concurrent jobs a week pass a 0.5 % gate by week 4 only
36 % of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from operator import mul

from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts, check_count
from rollout.evidence.errors import BadRate
from rollout.evidence.promotion import LOOKS_MAX, Z_LIMIT, score

JOBS_A_WEEK_MAX = 10_000_000
"""Where the search for enough traffic gives up."""

RATE_MIN = 1e-15
"""A smaller rate is none: ten million jobs do not show it."""

_NEGLIGIBLE = 1e-20
"""Counts less likely than this, beside the likeliest one, are far below rounding error."""


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
    first, week = _failures_in(concurrent_per_week, rate)
    low, not_passed = 0, [1.0]  # chances of so many failures so far, the first one being `low`
    for look in range(1, weeks + 1):
        low, not_passed = low + first, _convolved(not_passed, week)
        n_concurrent, n_legacy = look * concurrent_per_week, look * legacy_per_week
        allowed = failures_allowed(n_concurrent, n_legacy, rate, margin, z_limit)
        passed = max(0, allowed + 1 - low)
        low, not_passed = low + passed, not_passed[passed:]
        if not not_passed:
            return 1.0
    return min(1.0, max(0.0, 1.0 - fsum(not_passed)))


def _failures_in(jobs: int, rate: float) -> tuple[int, list[float]]:
    """Give the binomial distribution where it is not negligible: its first count, and chances.

    Worked out by the ratio of neighbours from the likeliest count outwards: no factorial, so
    nothing over- or underflows, and a test holds it to scipy's.
    """
    if rate in (0.0, 1.0):
        return (jobs if rate else 0), [1.0]
    odds = rate / (1.0 - rate)
    mode = min(jobs, int((jobs + 1) * rate))
    above, count, chance = [1.0], mode, 1.0
    while count < jobs and chance > _NEGLIGIBLE:
        chance *= (jobs - count) / (count + 1) * odds
        count += 1
        above.append(chance)
    below, count, chance = [], mode, 1.0
    while count > 0 and chance > _NEGLIGIBLE:
        chance *= count / ((jobs - count + 1) * odds)
        count -= 1
        below.append(chance)
    chances = [*reversed(below), *above]
    whole = fsum(chances)
    return count, [one / whole for one in chances]


def _convolved(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """Give the distribution of the sum of two independent counts."""
    turned = list(reversed(right))
    size = len(right)
    found = []
    for place in range(len(left) + size - 1):
        begin, end = max(0, place - size + 1), min(place + 1, len(left))
        offset = size - 1 - place
        found.append(sum(map(mul, left[begin:end], turned[offset + begin : offset + end])))
    return found


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
