"""The cycle times that simulated pilots see, as jobs beyond the thresholds of the day before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy.stats import norm

from ops.evidence.traffic import DAY_S, JOBS_A_DAY
from ops.evidence.twin import Flags, Floats
from rollout.evidence.buckets import GROWTH
from rollout.evidence.thresholds import REVERT_SHIFT

Survival: TypeAlias = Callable[[Floats], Floats]
"""Share of jobs that take longer than some seconds."""


def lognormal(seconds: Floats) -> Floats:
    """Share of lognormal (sigma 1, median 1 s) cycle times beyond some seconds."""
    beyond: Floats = norm.sf(np.log(seconds))
    return beyond


def lognormal_quantile(level: Floats) -> Floats:
    """Seconds that a share `level` of lognormal cycle times do not exceed."""
    seconds: Floats = np.exp(norm.ppf(level))
    return seconds


def pareto(seconds: Floats) -> Floats:
    """Share of Pareto (1.5, from 1 s) cycle times beyond some seconds."""
    beyond: Floats = np.maximum(seconds, 1.0) ** -1.5
    return beyond


def pareto_quantile(level: Floats) -> Floats:
    """Seconds that a share `level` of Pareto cycle times do not exceed."""
    seconds: Floats = (1 - level) ** (-1 / 1.5)
    return seconds


def slow_tenth(seconds: Floats) -> Floats:
    """Lognormal, but the slowest tenth of jobs takes twice as long."""
    # Those beyond the 90th percentile are doubled; the rest stay.
    edge = float(lognormal_quantile(np.asarray(0.9)))
    doubled = np.minimum(0.1, lognormal(seconds / 2))
    stay = np.clip(lognormal(seconds) - 0.1, 0.0, None)
    beyond: Floats = np.where(seconds < edge, stay + 0.1, doubled)
    return beyond


def stretched(path: Survival, ratio: float) -> Survival:
    """Give the cycle times of `path` multiplied by a ratio."""

    def longer(seconds: Floats) -> Floats:
        return path(seconds / ratio)

    return longer


class Cycles:
    """Jobs beyond the thresholds of yesterday's legacy histogram, drawn anew each day."""

    def __init__(
        self,
        rng: np.random.Generator,
        pilots: int,
        scope: float,
        tick_s: float,
        legacy: tuple[Survival, Survival],
        healthy: Survival,
        fault: Survival,
    ) -> None:
        """Set the stream up.

        Args:
            rng: Seeded.
            pilots: How many.
            scope: Share of concurrent jobs, 0..1.
            tick_s: Seconds of a tick.
            legacy: Survival function of legacy cycle times and its quantile function.
            healthy: Survival function of the concurrent path without the fault.
            fault: The same with the fault.
        """
        jobs = JOBS_A_DAY * tick_s / DAY_S
        self.rng, self.pilots, self.tick_s = rng, pilots, tick_s
        self.jobs = (jobs * scope, jobs * (1 - scope))
        self.legacy, self.quantile = legacy
        self.paths = (healthy, fault)
        self.day = -1
        self.rates = np.empty((3, 2, pilots))

    def draw(self, tick: int, faulty: Flags) -> Sequence[Floats]:
        """Draw one tick; see `Traffic`."""
        day = int(tick * self.tick_s // DAY_S)
        if day != self.day:
            self.day = day
            self._set_thresholds()
        concurrent = np.where(faulty, self.rates[2], self.rates[1])
        median, tail = np.empty((4, self.pilots)), np.empty((4, self.pilots))
        for row, jobs, rates in ((0, self.jobs[0], concurrent), (2, self.jobs[1], self.rates[0])):
            late = self.rng.poisson(jobs * rates[1])
            slow = self.rng.poisson(jobs * (rates[0] - rates[1])) + late
            median[row] = self.rng.poisson(jobs * (1 - rates[0])) + slow
            tail[row] = median[row]
            median[row + 1], tail[row + 1] = slow, late
        return [median, tail]

    def _set_thresholds(self) -> None:
        """Read the bucket of the sampled quantile of a day of legacy jobs, per pilot."""
        jobs = round(self.jobs[1] * DAY_S / self.tick_s)
        for column, level in ((0, 0.5), (1, 0.95)):
            rank = int(np.ceil(level * jobs))
            # The rank-th of n uniform draws is Beta(rank, n - rank + 1): the exact sketch input.
            seconds = self.quantile(self.rng.beta(rank, jobs - rank + 1, self.pilots))
            edge = GROWTH ** np.ceil(np.log(seconds * 1000) / np.log(GROWTH)) / 1000
            self.rates[0, column] = self.legacy(edge)
            for row, path in enumerate(self.paths, start=1):
                self.rates[row, column] = path(edge * GROWTH**REVERT_SHIFT)
