"""The smallest regression that these samples would have shown.

A verdict without it can hide behind too few jobs: "no harm seen" in ten jobs says little, and
this number says how little.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, log1p

from rollout.evidence.betting import stake
from rollout.evidence.counts import Counts
from rollout.evidence.process import BettingProcess
from rollout.evidence.restarts import SCOPE_STAKE


def smallest(
    seen: Callable[[float], bool], low: float, high: float, halvings: int = 40
) -> float | None:
    """Find the smallest value in low..high that would have been seen; None when none would.

    The answer errs upwards, by (high - low) / 2**halvings.
    """
    if not seen(high):
        return None
    for _ in range(halvings):
        middle = (low + high) / 2
        if seen(middle):
            high = middle
        else:
            low = middle
    return high


def expected_log(
    process: BettingProcess, bet: int, counts: Counts, p_legacy: float
) -> Callable[[float], float]:
    """Give the mean of ln L for one bet by the concurrent rate, with `counts` as one block."""
    chosen, r, d = process.bets[bet], process.margin.ratio, process.margin.floor
    n, m = counts.n_concurrent, counts.n_legacy
    c, a = stake(chosen.family, chosen.parameter, r, n, m)
    b = a * r * n / m
    hit, missed = log1p(a * (1 - r * c)), log1p(-a * r * c)
    legacy = m * (p_legacy * log1p(-b * (1 - c)) + (1 - p_legacy) * log1p(-b * (d - c)))
    return lambda rate: n * (rate * hit + (1 - rate) * missed) + legacy


def detectable_rate(
    process: BettingProcess, scored: Counts, p_legacy: float | None = None
) -> float | None:
    """Find the concurrent rate that would have reached the limit with these jobs.

    Every job is taken to be hit at that rate from the start of the step on, and the stake is the
    lump of the step's beginning. The real test sees many blocks and not one, which costs little
    while the split is steady.

    Args:
        process: The test.
        scored: Jobs of all closed blocks of the step.
        p_legacy: How often legacy fails, 0..1, where a plan supposes it; else as observed.

    Returns:
        A rate in 0..1, or None when even a rate of 1 would not have shown.
    """
    if not scored.both_paths:
        return None
    if p_legacy is None:
        p_legacy = scored.k_legacy / scored.n_legacy
    pend = SCOPE_STAKE if process.restarting else 1.0
    needed = log(process.limit / pend)
    bets = [
        (log(bet.weight), expected_log(process, index, scored, p_legacy))
        for index, bet in enumerate(process.bets)
    ]

    def seen(rate: float) -> bool:
        return any(weight + expected(rate) >= needed for weight, expected in bets)

    return smallest(seen, process.margin.harmless(p_legacy), 1.0)
