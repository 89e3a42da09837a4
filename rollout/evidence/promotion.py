"""The score of a step: how far the concurrent rate lies under a margin, in standard errors.

The burden of proof lies on the new path: "not shown to be worse" is INSUFFICIENT here, and only
"shown to be no worse than the margin" is PASS.

`score` and `overdispersion` are what `budget_proof` promotes by. `finding` with its margins and its
four looks is the rule of the last release, by which its own decisions are made again and nothing
else (`pilot/rule.py`).

Source: Farrington & Manning, Statistics in Medicine 1990; evidence method, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts, merged
from rollout.evidence.detectable import smallest
from rollout.evidence.errors import BadRate
from rollout.evidence.verdict import Finding, Verdict

ALPHA = 0.05
"""Chance that a path exactly on the margin passes a metric of a step, all looks together."""

LOOKS_MAX = 4
"""Looks at a step; afterwards a person decides."""

Z_LIMIT = NormalDist().inv_cdf(ALPHA / LOOKS_MAX)
"""A score at or under this passes: -2.2414."""

CELLS_MIN = 24
"""Fewer cells of hours say nothing about the spread of their differences."""

CELL_EVENTS_MIN = 5.0
"""Hours are put together until so many events are expected of them.

Pearson's statistic of cells that expect less than about five is no chi-square: independent jobs at
100 a day came to a mean phi of 1.18, and every tenth step to 1.74.
"""

_Z_POWER = NormalDist().inv_cdf(0.8)


def score(counts: Counts, margin: Margin, phi: float = 1.0) -> float | None:
    """Give z: how far the concurrent rate lies under the margin, in standard errors.

    Args:
        counts: Totals of the step.
        margin: What may be worse; `Margin()` for slow jobs, whose threshold is shifted instead.
        phi: Variance inflation, >= 1; see `overdispersion`.

    Returns:
        z, negative when under the margin; None when a path has no jobs or nothing can vary.

    Raises:
        BadRate: `phi` is under 1: less spread than chance is chance.
    """
    if not 1.0 <= phi < float("inf"):
        raise BadRate("phi must be >= 1", phi, "use overdispersion(hours)")
    if not counts.both_paths:
        return None
    p_legacy = counts.k_legacy / counts.n_legacy
    p_limit = margin.ratio * p_legacy + margin.absolute
    if not 0.0 < p_limit < 1.0:
        return None
    variance = p_limit * (1 - p_limit) / counts.n_concurrent
    variance += margin.ratio**2 * p_legacy * (1 - p_legacy) / counts.n_legacy
    return (counts.k_concurrent / counts.n_concurrent - p_limit) / sqrt(phi * variance)


def overdispersion(hours: Sequence[Counts]) -> float:
    """Measure how much more the hourly differences between the paths vary than chance allows.

    Jobs that share a routing key, a customer or a bad minute are not independent, and a score
    that takes them so is too sure of itself.

    Args:
        hours: Counts of each hour of the step, in order. Neighbouring hours are put together
            until a cell has jobs on both paths and expects five events.

    Returns:
        phi = max(1, Pearson's chi-square over its degrees of freedom); 1 with fewer than 24
        cells, which say nothing about the spread.
    """
    total = merged(hours)
    if not total.both_paths:
        return 1.0
    p_concurrent = total.k_concurrent / total.n_concurrent
    p_legacy = total.k_legacy / total.n_legacy
    spread_concurrent, spread_legacy = p_concurrent * (1 - p_concurrent), p_legacy * (1 - p_legacy)
    cells = _cells(hours, total)
    if spread_concurrent + spread_legacy == 0.0 or len(cells) < CELLS_MIN:
        return 1.0
    differences = [c.k_concurrent / c.n_concurrent - c.k_legacy / c.n_legacy for c in cells]
    weights = [1 / (spread_concurrent / c.n_concurrent + spread_legacy / c.n_legacy) for c in cells]
    mean = sum(w * x for w, x in zip(weights, differences, strict=True)) / sum(weights)
    square = sum(w * (x - mean) ** 2 for w, x in zip(weights, differences, strict=True))
    return max(1.0, square / (len(cells) - 1))


def _cells(hours: Sequence[Counts], total: Counts) -> list[Counts]:
    """Put neighbouring hours together; the last few may not fill a cell, and are left out."""
    events = total.k_concurrent + total.k_legacy
    rate = events / (total.n_concurrent + total.n_legacy)
    cells = []
    n = k = m = j = 0
    for hour in hours:
        n, k = n + hour.n_concurrent, k + hour.k_concurrent
        m, j = m + hour.n_legacy, j + hour.k_legacy
        if n and m and (n + m) * rate >= CELL_EVENTS_MIN:
            cells.append(Counts(n, k, m, j))
            n = k = m = j = 0
    return cells


def detectable(counts: Counts, margin: Margin, phi: float = 1.0) -> float | None:
    """Find the concurrent rate these samples would have shown to be above legacy, 4 times in 5.

    Returns:
        A rate in 0..1; None when even a rate of 1 would not have shown.
    """
    if not counts.both_paths:
        return None
    p_legacy = counts.k_legacy / counts.n_legacy
    needed = _Z_POWER - Z_LIMIT

    def seen(rate: float) -> bool:
        variance = rate * (1 - rate) / counts.n_concurrent
        variance += margin.ratio**2 * p_legacy * (1 - p_legacy) / counts.n_legacy
        # The smallest variance is that of one job, so that a rate of 0 or 1 is not certain.
        variance = max(variance, 1 / counts.n_concurrent**2)
        return rate - margin.limit(p_legacy) >= needed * sqrt(phi * variance)

    return smallest(seen, margin.limit(p_legacy), 1.0)


def finding(
    metric: str, counts: Counts, margin: Margin, phi: float = 1.0, z_limit: float = Z_LIMIT
) -> Finding:
    """Score one metric of a step: PASS when proven within the margin, else INSUFFICIENT."""
    z = score(counts, margin, phi)
    jobs = f"{counts.n_concurrent} concurrent and {counts.n_legacy} legacy jobs"
    if z is None:
        verdict, sentence = Verdict.INSUFFICIENT, f"{jobs} leave nothing to compare."
    elif z <= z_limit:
        verdict = Verdict.PASS
        sentence = f"{jobs} show the concurrent path within its margin (z {z:.2f})."
    else:
        verdict = Verdict.INSUFFICIENT
        sentence = f"{jobs} do not show it within its margin: z {z:.2f}, {z_limit:.2f} needed."
    return Finding(
        metric,
        verdict,
        z,
        z_limit,
        counts.n_concurrent,
        counts.n_legacy,
        detectable(counts, margin, phi),
        sentence,
    )
