"""What a user would pick instead of the evidence: re-implementations, simplified and said so.

- Flagger-style: each minute the failure rate of the concurrent path is held against 1 %; five
  failed checks in all roll back (`threshold: 5`, `interval: 1m`).
- Argo-style: each 5 minutes against 5 %; more than three failed measurements (`failureLimit: 3`).
- Naive z: a pooled z-test at 1.96 on the totals, each minute.
- Kayenta-style: each hour a Mann-Whitney test on 60 minute values of both paths, with the judge's
  98 % interval and tolerance .25. Minutes without jobs are left out, as its NaN strategy does.
- CUSUM: on the concurrent path alone, told the true rate, tuned to some 1.5 % false reverts.

Pure, on numbers per minute. Uses numpy: never imported on a job's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

HOUR = 60
KAYENTA_LEVEL = 0.98
KAYENTA_TOLERANCE = 0.25
NAIVE_Z = 1.96

CUSUM_ODDS = 2.0
"""The CUSUM looks for failures at this many times the rate it was told."""

_CUSUM_MARGIN = 2.8
"""Fitted: the 98.5 % quantile of the highest CUSUM of 300 healthy pilots of 28 days lay 2.1 to 3.4
above ln(failures expected), at rates of .5 and 2 % and shares of 1 to 50 %."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Jobs that finished in each minute, one number a minute.

    Attributes:
        n, k: Jobs of the concurrent path, and its failures.
        m, j: The same of legacy.
    """

    n: Floats
    k: Floats
    m: Floats
    j: Floats


@dataclass(frozen=True, slots=True)
class Threshold:
    """Counts spans whose failure rate is over a limit, all since the start.

    Attributes:
        every: Minutes of a span.
        limit: Share of failures that is too many, 0..1.
        most: So many failed spans are borne.
    """

    every: int
    limit: float
    most: int

    def rolls_back(self, minutes: Minutes) -> int | None:
        """The minute at whose end it rolls back; None when it never does."""
        spans = minutes.n.size // self.every
        n, k = (
            series[: spans * self.every].reshape(spans, self.every).sum(axis=1)
            for series in (minutes.n, minutes.k)
        )
        span = _first(np.cumsum(k > self.limit * n) > self.most)
        return None if span is None else (span + 1) * self.every - 1


FLAGGER = Threshold(every=1, limit=0.01, most=4)
ARGO = Threshold(every=5, limit=0.05, most=3)


def naive_z(minutes: Minutes) -> int | None:
    """The first minute with a pooled z of `NAIVE_Z` on the totals so far."""
    n, k, m, j = (np.cumsum(one) for one in (minutes.n, minutes.k, minutes.m, minutes.j))
    both = (n >= 1) & (m >= 1)
    n, m = np.maximum(n, 1e-9), np.maximum(m, 1e-9)
    pooled = (k + j) / (n + m)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-12))
    return _first(((k / n - j / m) / spread >= NAIVE_Z) & both)


def cusum(minutes: Minutes, rate: float) -> Floats:
    """The CUSUM of `rate` against twice it after each minute; 0 < rate < .5."""
    better = log((1 - CUSUM_ODDS * rate) / (1 - rate))
    steps = minutes.k * log(CUSUM_ODDS) + (minutes.n - minutes.k) * better
    walk = np.cumsum(steps)
    lowest = np.minimum(np.minimum.accumulate(walk), 0.0)
    path: Floats = walk - lowest
    return path


def cusum_limit(failures_expected: float) -> float:
    """The limit that some 1.5 % of healthy pilots reach, by the failures expected in all of it."""
    return log(max(failures_expected, 1.0)) + _CUSUM_MARGIN


def cusum_rolls_back(minutes: Minutes, rate: float, limit: float) -> int | None:
    """The first minute at which the CUSUM reaches its limit."""
    return _first(cusum(minutes, rate) >= limit)


def harmed(concurrent: Floats, legacy: Floats) -> bool:
    """Kayenta's answer High: the shift's lower bound is over .25 of the shift itself.

    Args:
        concurrent: Minute values of one metric, without those of minutes that had no job.
        legacy: The same of legacy.
    """
    if concurrent.size < 2 or legacy.size < 2:
        return False
    differences = np.sort(np.subtract.outer(concurrent, legacy).ravel())
    n, m = concurrent.size, legacy.size
    spread = NormalDist().inv_cdf(0.5 + KAYENTA_LEVEL / 2) * np.sqrt(n * m * (n + m + 1) / 12)
    low = differences[max(0, int(n * m / 2 - spread))]
    return bool(low > KAYENTA_TOLERANCE * abs(np.median(differences)))


def hourly(concurrent: Floats, legacy: Floats) -> int | None:
    """The last minute of the first hour that is `harmed`.

    Args:
        concurrent: A value each minute; NaN where the path finished no job.
        legacy: The same of legacy.
    """
    for hour in range(concurrent.size // HOUR):
        span = slice(hour * HOUR, (hour + 1) * HOUR)
        new, old = concurrent[span], legacy[span]
        if harmed(new[~np.isnan(new)], old[~np.isnan(old)]):
            return (hour + 1) * HOUR - 1
    return None


def failure_rates(minutes: Minutes) -> tuple[Floats, Floats]:
    """Failure rate of each path in each minute; NaN where it finished no job."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return minutes.k / minutes.n, minutes.j / minutes.m


def _first(true: npt.NDArray[np.bool_]) -> int | None:
    return int(np.argmax(true)) if true.any() else None
