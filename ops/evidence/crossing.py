"""One limit for all looks at a step: the exact chance that any of them passes by luck.

Totals grow from look to look, so on the margin the score at a look is W(t) / sqrt(t), with W a
Brownian motion and t = 1, 1.5, 2 .. in bake times. Scores of neighbouring looks are alike, and far
more of them fit under one alpha than a division by their number allows.

It loads scipy, which the package does without, and is asked by tests and `make evidence`; the
judgement has its limit as a number (`harm_budget.SCORE_LIMIT`).

Source: Armitage, McPherson & Rowe, JRSS A 1969 (repeated looks, by numerical integration);
small-pilots method, section 1.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from rollout.evidence.errors import BadRate
from rollout.evidence.looks import look_day

Floats: TypeAlias = npt.NDArray[np.float64]

_CELL = 0.02
"""Width of a cell of the grid, in standard deviations; half of it moves the answer by 3e-9."""

_FAR = 8.0
"""Where a standard normal has nothing left that counts."""


@cache
def crossing(limit: float, looks: int) -> float:
    """Give the chance that a path exactly on the margin passes one of the looks.

    Args:
        limit: Standard errors under the margin that pass, >= 0.
        looks: How many looks there are, >= 1.

    Returns:
        In 0..1, right to 1e-7.

    Raises:
        BadRate: No such limit, or no look.
    """
    if not 0.0 <= limit < _FAR or looks < 1:
        raise BadRate("a limit in 0..8 and at least one look are needed", (limit, looks), "check")
    # By symmetry W passes upwards, at W(t) >= limit * sqrt(t); `alive` is the density of the rest.
    edge = limit
    points = np.linspace(-_FAR, edge, 1 + round((edge + _FAR) / _CELL / 2) * 2)
    alive = np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi)
    passed = float(ndtr(-limit))
    for look in range(2, looks + 1):
        t = look_day(look, 1.0)
        weights = alive * _simpson(points)
        edge = limit * np.sqrt(t)
        passed += float(weights @ ndtr((points - edge) / np.sqrt(0.5)))
        low = -_FAR * np.sqrt(t)
        after = np.linspace(low, edge, 1 + round((edge - low) / _CELL / 2 / np.sqrt(t)) * 2)
        kernel = np.exp(-((after[:, np.newaxis] - points) ** 2)) / np.sqrt(np.pi)
        points, alive = after, kernel @ weights
    return min(1.0, passed)


def _simpson(points: Floats) -> Floats:
    """Weights of Simpson's rule on an odd number of even points."""
    weights = np.full(points.size, 2.0)
    weights[1::2] = 4.0
    weights[0] = weights[-1] = 1.0
    rule: Floats = weights * (points[1] - points[0]) / 3
    return rule


@cache
def limit_for(alpha: float, looks: int) -> float:
    """Give the score that keeps the chance to pass by luck at alpha, all looks together.

    Args:
        alpha: In (0, .5).
        looks: How many looks there are, >= 1.

    Returns:
        A negative score, right to 1e-6: -2.3036 for alpha .05 and 15 looks.

    Raises:
        BadRate: No such chance.
    """
    if not 0.0 < alpha < 0.5:
        raise BadRate("alpha must lie in (0, .5)", alpha, "0.05 is usual")
    found = brentq(lambda limit: crossing(limit, looks) - alpha, 0.0, 7.0, xtol=1e-7)
    return -float(found)
