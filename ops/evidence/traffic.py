"""The jobs that simulated pilots see: Poisson arrivals, with failures or slow jobs among them.

Splitting a Poisson stream by chance gives independent Poisson streams, so jobs that hit and jobs
that do not are drawn apart, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy.stats import norm

from ops.evidence.twin import Flags, Floats
from rollout.core.evidence.buckets import GROWTH
from rollout.core.evidence.cycle_time import REVERT_SHIFT

JOBS_A_DAY = 100_000
DAY_S = 86_400.0

Survival: TypeAlias = Callable[[Floats], Floats]
"""Share of jobs that take longer than some seconds."""


class Traffic(Protocol):
    """Where the counts of a tick come from."""

    def draw(self, tick: int, faulty: Flags) -> Sequence[Floats]:
        """Draw one tick of every pilot; `faulty` says in which the fault is there."""


class Failures:
    """Failures at given rates; `both` may move the rates of both paths with time."""

    def __init__(
        self,
        rng: np.random.Generator,
        pilots: int,
        scope: float,
        tick_s: float,
        healthy: tuple[float, float],
        fault: float | None = None,
        both: Callable[[int, float], tuple[float, Floats | float]] | None = None,
    ) -> None:
        """Set the stream up.

        Args:
            rng: Seeded.
            pilots: How many.
            scope: Share of concurrent jobs, 0..1.
            tick_s: Seconds of a tick.
            healthy: Failure rates without a fault, concurrent and legacy.
            fault: Failure rate of the concurrent path under the fault.
            both: From tick and legacy rate to (traffic factor, rate of both paths).
        """
        jobs = JOBS_A_DAY * tick_s / DAY_S
        self.rng, self.pilots = rng, pilots
        self.jobs = (jobs * scope, jobs * (1 - scope))
        self.healthy, self.fault, self.both = healthy, fault, both

    def draw(self, tick: int, faulty: Flags) -> Sequence[Floats]:
        """Draw one tick; see `Traffic`."""
        concurrent: Floats | float
        legacy: Floats | float
        concurrent, legacy = self.healthy
        factor = 1.0
        if self.both is not None:
            factor, legacy = self.both(tick, legacy)
            concurrent = legacy
        if self.fault is not None:
            concurrent = np.where(faulty, self.fault, concurrent)
        counts = np.empty((4, self.pilots))
        for row, jobs, rate in ((0, self.jobs[0], concurrent), (2, self.jobs[1], legacy)):
            hits = self.rng.poisson(factor * jobs * rate, self.pilots)
            counts[row] = self.rng.poisson(factor * jobs * (1 - rate), self.pilots) + hits
            counts[row + 1] = hits
        return [counts]


@dataclass(frozen=True)
class Outages:
    """Four common outages a pilot, at random times, on both paths alike.

    Attributes:
        start_s: Shape (4, pilots).
        length_s: Seconds each lasts.
        rate: Share of jobs that fail during one.
        swing: Daily swing of traffic and failure rate, as a share; 0 for none.
        tick_s: Seconds of a tick.
    """

    start_s: Floats
    length_s: float
    rate: float
    swing: float
    tick_s: float

    def __call__(self, tick: int, rate: float) -> tuple[float, Floats]:
        """Give the traffic factor and the failure rate of both paths in a tick."""
        now = tick * self.tick_s
        wave = np.sin(2 * np.pi * now / DAY_S)
        shared = np.minimum(now + self.tick_s, self.start_s + self.length_s)
        part = np.clip(shared - np.maximum(now, self.start_s), 0, None).sum(0) / self.tick_s
        rates: Floats = np.minimum(1.0, rate * (1 + self.swing * wave) + part * self.rate)
        return 1 + self.swing * float(np.cos(2 * np.pi * now / DAY_S)), rates


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
