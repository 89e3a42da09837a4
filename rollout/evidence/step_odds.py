"""How likely, and how soon, a healthy path proves a step: drawn, because counts are small.

A step is proven when all three events pass at the same look, and each look sees all that the ones
before it saw. With few events no closed form is near enough, so pilots are drawn: arrivals are
Poisson, and each job fails, or is late, by chance. The same seed draws the same pilots.

Plain Python: a person asks for a plan on the machine of a controller, which has no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, sqrt
from statistics import NormalDist

from rollout.evidence.errors import BadRate
from rollout.evidence.harm_budget import LATE_RATE, SCORE_LIMIT, SLOW_RATE
from rollout.evidence.looks import LOOKS_MAX, look_day

JOBS_A_LOOK_MAX = 1e12
"""More jobs than any ledger holds."""

SEED = 20_261_126

_FEW = 30.0
"""Up to this mean a Poisson count is drawn event by event; beyond, its quantile is near enough."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Margins:
    """What a step has to show, in points of the rate: failed, late and slow."""

    failed: float
    late: float
    slow: float


@dataclass(frozen=True, slots=True)
class Odds:
    """When healthy pilots have proved a step.

    Attributes:
        days: Day of the look that proved it, one per pilot drawn; infinite for those that have
            used up their looks, which a person decides.
    """

    days: tuple[float, ...]

    @property
    def proven(self) -> float:
        """The share that is proven at any look."""
        return self.by(inf)

    def by(self, day: float) -> float:
        """The share that is proven by a day."""
        return sum(isfinite(one) and one <= day for one in self.days) / len(self.days)

    def day(self, share: float) -> float:
        """The day by which this share of pilots has proved it; infinite when that never comes."""
        return sorted(self.days)[max(0, ceil(share * len(self.days)) - 1)]

    def then(self, other: Odds) -> Odds:
        """Put two steps together; they are independent, so pilots pair up as they were drawn."""
        return Odds(tuple(one + more for one, more in zip(self.days, other.days, strict=True)))


def odds(
    jobs_a_week: float,
    share: float,
    rate_failed: float,
    margins: Sequence[Margins],
    bake_days: float = 7.0,
    *,
    last: bool = False,
    pilots: int = 400,
    seed: int = SEED,
) -> tuple[Odds, ...]:
    """Draw healthy pilots at one step, and look at each with several margins.

    Args:
        jobs_a_week: Jobs a week on both paths.
        share: Share of jobs on the concurrent path, in (0, 1).
        rate_failed: Failure rate of both paths, 0..1.
        margins: What the step has to show; the same pilots are held against each.
        bake_days: Least days at the step, > 0.
        last: Nothing grows after it, so it is enough that nothing speaks against it.
        pilots: How many to draw.
        seed: The same seed draws the same pilots.

    Returns:
        One answer for each of the margins.

    Raises:
        BadRate: A number is out of range.
    """
    if not (0.0 < share < 1.0 and 0.0 <= rate_failed <= 1.0 and bake_days > 0.0):
        raise BadRate(
            "a step needs a share in (0, 1), a failure rate in 0..1 and a bake over 0",
            (share, rate_failed, bake_days),
            "check them",
        )
    limit = 0.0 if last else SCORE_LIMIT
    found: list[list[float]] = [[] for _ in margins]
    for number in range(pilots):
        draw = uniform(seed + number * 1_000_003 + round(1e4 * share))
        days = _pilot(draw, jobs_a_week, share, rate_failed, margins, bake_days, limit)
        for one, day in zip(found, days, strict=True):
            one.append(day)
    return tuple(Odds(tuple(one)) for one in found)


def _pilot(
    draw: Callable[[], float],
    jobs_a_week: float,
    share: float,
    rate: float,
    margins: Sequence[Margins],
    bake_days: float,
    limit: float,
) -> list[float]:
    """The day on which one pilot is proven, for each of the margins."""
    days = [inf] * len(margins)
    new, old = [0, 0, 0, 0], [0, 0, 0, 0]
    for look in range(1, LOOKS_MAX + 1):
        span_days = look_day(look, bake_days) - (look_day(look - 1, bake_days) if look > 1 else 0)
        jobs = min(JOBS_A_LOOK_MAX, jobs_a_week * span_days / 7)
        _add(draw, new, jobs * share, rate)
        _add(draw, old, jobs * (1 - share), rate)
        for place, asked in enumerate(margins):
            if days[place] == inf and all(
                passes(k, new[0], j, old[0], margin, limit)
                for k, j, margin in zip(
                    new[1:], old[1:], (asked.failed, asked.late, asked.slow), strict=True
                )
            ):
                days[place] = look_day(look, bake_days)
        if inf not in days:
            break
    return days


def passes(k: int, n: int, j: int, m: int, margin: float, limit: float) -> bool:
    """Whether `promotion.score` of these counts is at or under a limit; no score passes nothing."""
    if n == 0 or m == 0:
        return False
    p_legacy = j / m
    p_limit = p_legacy + margin
    if not 0.0 < p_limit < 1.0:
        return False
    variance = p_limit * (1 - p_limit) / n + p_legacy * (1 - p_legacy) / m
    return (k / n - p_limit) <= limit * sqrt(variance)


def _add(draw: Callable[[], float], counts: list[int], mean: float, rate: float) -> None:
    """Add the jobs between two looks: all, failed, late and slow ones."""
    late = poisson(draw, mean * LATE_RATE)
    slow = late + poisson(draw, mean * (SLOW_RATE - LATE_RATE))
    jobs = slow + poisson(draw, mean * (1 - SLOW_RATE))
    # Splitting a Poisson stream by chance gives Poisson streams, with no more failures than jobs.
    failed = (
        min(jobs, poisson(draw, mean * rate))
        if rate < 0.5
        else jobs - min(jobs, poisson(draw, mean * (1 - rate)))
    )
    for place, more in enumerate((jobs, failed, late, slow)):
        counts[place] += more


def poisson(draw: Callable[[], float], mean: float) -> int:
    """Draw a Poisson count of this mean."""
    if mean <= 0.0:
        return 0
    if mean < _FEW:
        left, count = draw(), 0
        edge = exp(-mean)
        while left > edge:
            left *= draw()
            count += 1
        return count
    z = _NORMAL.inv_cdf(draw())
    return max(0, round(mean + z * sqrt(mean) + (z * z - 1) / 6))


def uniform(seed: int) -> Callable[[], float]:
    """Give numbers in (0, 1), the same ones for the same seed.

    Source: Steele, Lea & Flood, OOPSLA 2014 (SplitMix64).
    """
    state = seed & _MASK

    def draw() -> float:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) + 0.5) / 2.0**64

    return draw


_MASK = 2**64 - 1
