"""The vectorised twin of the simulations is `rollout/evidence`, to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest

from ops.evidence.watches import TwinCycle, TwinErrors
from rollout.evidence.counts import Counts
from rollout.evidence.cycle_time import CycleTime
from rollout.evidence.error_rate import ErrorRate
from rollout.evidence.fast_path import FastPath

PILOTS = 12
TICKS = 60
STEP = 25
"""The scope changes at every 25th tick."""


def column(counts: np.ndarray[tuple[int, ...], np.dtype[np.float64]], pilot: int) -> Counts:
    """Give the counts of one pilot."""
    return Counts(*(int(number) for number in counts[:, pilot]))


def draw(
    rng: np.random.Generator, rate: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Draw a tick in which paths are often empty and failures come in bursts."""
    n, m = rng.poisson(rng.choice([0.2, 3.0]), PILOTS), rng.poisson(rng.choice([0.2, 9.0]), PILOTS)
    k, j = rng.binomial(n, rate), rng.binomial(m, rate * rng.choice([0.0, 1.0]))
    return np.array([n, k, m, j], dtype=float)


@pytest.mark.parametrize("tick_s", [10.0, 400.0])
def test_twin_agrees_with_the_core_on_failures(tick_s: float) -> None:
    """Error rate and fast path of every pilot, each tick, to 1e-9."""
    rng = np.random.default_rng(1)
    twin = TwinErrors(PILOTS)
    rates, fasts = [ErrorRate.fresh()] * PILOTS, [FastPath.fresh()] * PILOTS
    for tick in range(TICKS):
        if tick % STEP == 0:
            twin.change_scope()
            rates, fasts = [r.change_scope() for r in rates], [f.change_scope() for f in fasts]
        counts = draw(rng, float(rng.choice([0.0, 0.02, 0.9])))
        twin.observe([counts], tick_s)
        for pilot in range(PILOTS):
            one = column(counts, pilot)
            rates[pilot] = rates[pilot].observe(one, tick_s)
            fasts[pilot] = fasts[pilot].observe(one, tick_s, 0.005)
        assert twin.rate.statistic == pytest.approx([r.statistic for r in rates], rel=1e-9)
        assert twin.fast.alone.statistic == pytest.approx([f.statistic for f in fasts], rel=1e-9)
        compared = np.where(twin.fast.running, twin.fast.compared.statistic, 1.0)
        assert compared == pytest.approx([f.corroborated for f in fasts], rel=1e-9)
        reverted = [r.latched or f.latched for r, f in zip(rates, fasts, strict=True)]
        assert twin.latched.tolist() == reverted


def test_twin_agrees_with_the_core_on_cycle_time() -> None:
    """The mean of median and tail of every pilot, each tick, to 1e-9."""
    rng = np.random.default_rng(2)
    twin = TwinCycle(PILOTS)
    states = [CycleTime.fresh().change_scope()] * PILOTS
    twin.change_scope()
    for _ in range(TICKS):
        median = draw(rng, 0.6)
        tail = median.copy()
        tail[1], tail[3] = (rng.binomial(median[row].astype(int), 0.2) for row in (1, 3))
        twin.observe([median, tail], 10.0)
        for pilot in range(PILOTS):
            one, two = column(median, pilot), column(tail, pilot)
            states[pilot] = states[pilot].observe(one, two, 10.0)
        assert twin.statistic == pytest.approx([s.statistic for s in states], rel=1e-9)
        assert twin.latched.tolist() == [s.latched for s in states]
