"""How likely, and how soon, a healthy path proves a step: drawn, because counts are small.

A step is proven when all three events pass at the same look, and each look sees all that the ones
before it saw. With few events no closed form is near enough, so pilots are drawn: arrivals are
Poisson, and each job fails, or is late, by chance. The same seed draws the same pilots.

It loads numpy: a plan, a check of a policy and rehearsals ask it, a worker never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rollout.evidence.errors import BadRate
from rollout.evidence.harm_budget import LATE_RATE, SCORE_LIMIT, SLOW_RATE
from rollout.evidence.looks import LOOKS_MAX, look_day

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

JOBS_A_LOOK_MAX = 10_000_000.0
"""More jobs between two looks prove nothing further, and are not drawn."""

SEED = 20_261_126


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

    days: Floats

    @property
    def first_look(self) -> float:
        """The share that is proven at the first look."""
        return float(np.mean(self.days <= self.days.min())) if self.proven else 0.0

    @property
    def proven(self) -> float:
        """The share that is proven at any look."""
        return float(np.mean(np.isfinite(self.days)))

    def day(self, share: float) -> float:
        """The day by which this share of pilots has proved it; infinite when that never comes."""
        return float(np.quantile(self.days, share, method="inverted_cdf"))


def scores(
    k_concurrent: Floats, n_concurrent: Floats, k_legacy: Floats, n_legacy: Floats, margin: float
) -> Floats:
    """Give `promotion.score` of many totals at once; 0, which proves nothing, where it has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p_concurrent, p_legacy = k_concurrent / n_concurrent, k_legacy / n_legacy
        p_limit = p_legacy + margin
        variance = p_limit * (1 - p_limit) / n_concurrent + p_legacy * (1 - p_legacy) / n_legacy
        z = (p_concurrent - p_limit) / np.sqrt(variance)
    known = (n_concurrent > 0) & (n_legacy > 0) & (p_limit > 0) & (p_limit < 1)
    found: Floats = np.where(known, z, 0.0)
    return found


def odds(
    jobs_a_week: float,
    share: float,
    rate_failed: float,
    margins: Margins,
    bake_days: float = 7.0,
    *,
    last: bool = False,
    pilots: int = 1000,
    seed: int = SEED,
) -> Odds:
    """Draw healthy pilots at one step.

    Args:
        jobs_a_week: Jobs a week on both paths.
        share: Share of jobs on the concurrent path, in (0, 1).
        rate_failed: Failure rate of both paths, 0..1.
        margins: What the step has to show.
        bake_days: Least days at the step, > 0.
        last: Nothing grows after it, so it is enough that nothing speaks against it.
        pilots: How many to draw.
        seed: The same seed draws the same pilots.

    Raises:
        BadRate: A number is out of range.
    """
    if not (0.0 < share < 1.0 and 0.0 <= rate_failed <= 1.0 and bake_days > 0.0):
        raise BadRate(
            "a step needs a share in (0, 1), a failure rate in 0..1 and a bake over 0",
            (share, rate_failed, bake_days),
            "check them",
        )
    rng = np.random.default_rng([seed, round(1e4 * share), round(1e6 * rate_failed)])
    limit = 0.0 if last else SCORE_LIMIT
    totals = np.zeros((2, 4, pilots))
    days = np.full(pilots, np.inf)
    for look in range(1, LOOKS_MAX + 1):
        span_days = look_day(look, bake_days) - (look_day(look - 1, bake_days) if look > 1 else 0)
        jobs = min(JOBS_A_LOOK_MAX, jobs_a_week * span_days / 7)
        totals += _draw(rng, jobs, share, rate_failed, pilots)
        (n, *events), (m, *legacy) = totals
        proven = np.ones(pilots, dtype=np.bool_)
        for k, j, margin in zip(
            events, legacy, (margins.failed, margins.late, margins.slow), strict=True
        ):
            proven &= scores(k, n, j, m, margin) <= limit
        # A score of 0 stands for none where nothing was seen, which speaks neither way.
        proven &= n > 0
        days[proven & np.isinf(days)] = look_day(look, bake_days)
        if np.isfinite(days).all():
            break
    return Odds(days)


def _draw(rng: np.random.Generator, jobs: float, share: float, rate: float, pilots: int) -> Floats:
    """Draw both paths between two looks: jobs, failed, late and slow ones."""
    drawn = np.empty((2, 4, pilots))
    for path, mean in enumerate((jobs * share, jobs * (1 - share))):
        n = rng.poisson(mean, pilots)
        slow = rng.binomial(n, SLOW_RATE)
        drawn[path] = n, rng.binomial(n, rate), rng.binomial(slow, LATE_RATE / SLOW_RATE), slow
    return drawn
