"""The jobs that simulated pilots see: Poisson arrivals, with failures or slow jobs among them.

Splitting a Poisson stream by chance gives independent Poisson streams, so jobs that hit and jobs
that do not are drawn apart, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ops.evidence.twin import Flags, Floats

JOBS_A_DAY = 100_000
DAY_S = 86_400.0


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
        jobs_a_day: float = JOBS_A_DAY,
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
            jobs_a_day: Of both paths.
        """
        jobs = jobs_a_day * tick_s / DAY_S
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
