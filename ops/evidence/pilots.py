"""Steps many pilots through time together and notes when each reverts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ops.evidence.traffic import DAY_S, Traffic
from ops.evidence.twin import Flags, Floats

DAYS = 28
STEP_DAYS = 7


class Watch(Protocol):
    """What watches the pilots and says which must revert."""

    latched: Flags

    def change_scope(self) -> None:
        """Begin a step."""

    def observe(self, ticks: Sequence[Floats], tick_s: float) -> None:
        """Take in one tick."""


def reverts(traffic: Traffic, watch: Watch, tick_s: float, days: float = DAYS) -> int:
    """Count the pilots reverted in a healthy 28 days with four steps."""
    step = round(STEP_DAYS * DAY_S / tick_s)
    nobody = np.zeros(watch.latched.size, dtype=bool)
    for tick in range(round(days * DAY_S / tick_s)):
        if tick % step == 0:
            watch.change_scope()
        watch.observe(traffic.draw(tick, nobody), tick_s)
    return int(watch.latched.sum())


def exposed(
    traffic: Traffic,
    watch: Watch,
    tick_s: float,
    rng: np.random.Generator,
    mid: bool,
    days_max: float = 14.0,
) -> Floats:
    """Count the concurrent jobs seen between the start of a fault and the revert.

    Args:
        traffic: Where jobs come from.
        watch: What watches.
        tick_s: Seconds of a tick.
        rng: Seeded; draws when the fault begins.
        mid: The fault begins after 1.5 to 3.5 healthy days, not with the step.
        days_max: Gives up this many days after the last fault began.

    Returns:
        One number per pilot that was not reverted before its fault; infinity if never reverted.
    """
    pilots = watch.latched.size
    begin_s = rng.uniform(1.5, 3.5, pilots) * DAY_S if mid else np.zeros(pilots)
    begin = np.ceil(begin_s / tick_s)
    jobs = np.zeros(pilots)
    early = np.zeros(pilots, dtype=bool)
    watch.change_scope()
    for tick in range(round(begin.max() + days_max * DAY_S / tick_s)):
        faulty = begin <= tick
        before = watch.latched.copy()
        counts = traffic.draw(tick, faulty)
        watch.observe(counts, tick_s)
        jobs += np.where(faulty & ~before, counts[0][0], 0.0)
        early |= watch.latched & ~faulty
        if watch.latched.all():
            break
    jobs[~watch.latched] = np.inf
    return jobs[~early]


def middle(jobs: Floats) -> float:
    """Give the median."""
    return float(np.median(jobs))


def per_scope(scopes: Sequence[float], one: Callable[[float], float]) -> dict[str, float]:
    """Give one number per scope, named like `8 %`."""
    return {f"{100 * scope:g} %": one(scope) for scope in scopes}
