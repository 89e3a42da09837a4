"""Do pairs show that the concurrent path takes at most m times as long as legacy?

A pair is the same thing done on both paths: a drill's recovery, or one input run twice. Each pair
multiplies the wealth of a few bets; under H0 (the log ratio lies around ln m or above, symmetric)
wealth does not grow on average, so it may be looked at after every pair and no limit on their
number is needed.

Sources: Ramdas, Ruf, Larsson & Koolen 2020 (symmetric sign bets); small-pilots method, section 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite, log, tanh

from rollout.evidence.errors import BadDuration, BadRate

SCALES = (0.2, 0.4, 0.8, 1.6)
"""Spreads of the log ratio that are bet on: drills of a steady path, and of a restless one."""

PROVEN_AT = 20.0
"""Wealth that proves it: 1 / .05."""

RECOVERY_RATIO = 2.0
"""Drills show that recovery takes less than this many times legacy's."""


def wealth(
    ratios: Iterable[float], ratio_max: float = RECOVERY_RATIO, scales: Sequence[float] = SCALES
) -> float:
    """Give the evidence that times on the concurrent path lie under `ratio_max` times legacy's.

    Args:
        ratios: Concurrent over legacy time of each pair, any order, > 0.
        ratio_max: The m that is not yet shown, > 0.
        scales: Spreads to bet on.

    Returns:
        1 without pairs; `PROVEN_AT` or more proves it. On the margin it gets there once in 20.

    Raises:
        BadDuration: A ratio is not a positive number.
        BadRate: `ratio_max` is not, or there are no scales.
    """
    *_, last = (1.0, *_after_each(ratios, ratio_max, scales))
    return last


def _after_each(
    ratios: Iterable[float], ratio_max: float, scales: Sequence[float]
) -> Iterator[float]:
    """Give the wealth after each pair: one step a pair, however many came before."""
    if not (isfinite(ratio_max) and ratio_max > 0.0) or not scales or min(scales) <= 0.0:
        raise BadRate("ratio_max and scales must be positive", (ratio_max, scales), "2.0 is usual")
    bets = [1.0] * len(scales)
    for ratio in ratios:
        x = _log(ratio) - log(ratio_max)
        bets = [bet * (1.0 - tanh(x / scale)) for bet, scale in zip(bets, scales, strict=True)]
        yield sum(bets) / len(scales)


def peak(ratios: Sequence[float]) -> float:
    """Give the largest wealth after any of the pairs: what was proven once stays proven.

    Wealth may be looked at after every pair, so the first time it reaches `PROVEN_AT` counts; a
    slow pair later is the recovery watch's business. Raises as `wealth`.
    """
    return max(_after_each(ratios, RECOVERY_RATIO, SCALES), default=1.0)


def proven_at(
    ratios: Sequence[float], ratio_max: float = RECOVERY_RATIO, scales: Sequence[float] = SCALES
) -> int | None:
    """Give the number of the pair that proved it; None when none did. Raises as `wealth`."""
    reached = enumerate(_after_each(ratios, ratio_max, scales), 1)
    return next((pairs for pairs, worth in reached if worth >= PROVEN_AT), None)


def _log(ratio: float) -> float:
    if not (isfinite(ratio) and ratio > 0.0):
        raise BadDuration("a ratio of times must be positive", ratio, "leave this pair out")
    return log(ratio)
