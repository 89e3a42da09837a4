"""C1: jobs of 20 minutes whose failures show within seconds, in the first hours of a step."""

from __future__ import annotations

import numpy as np

from ops.evidence.row import Row
from ops.evidence.traffic import DAY_S, JOBS_A_DAY
from ops.evidence.twin import Floats
from ops.evidence.watches import TwinErrors

TICK_S = 10.0
HOURS = 3
RATE = 0.005
SCOPE = 0.5
SUCCESS_TICKS = 120
FAILURE_TICKS = 3
SCORED_TICKS = 30
"""A window is scored at min(old p95, 5 min): here after 5 minutes."""


def by_admission(pilots: int, ticks: int) -> int:
    """Count reverts when windows are cohorts of admission, scored at a fixed age."""
    rng = np.random.default_rng(31)
    watch = TwinErrors(pilots)
    watch.change_scope()
    jobs = JOBS_A_DAY * TICK_S / DAY_S
    # The chance that a job that will fail has done so when its window is scored.
    shown = 1 - (1 - 1 / FAILURE_TICKS) ** SCORED_TICKS
    counts = np.empty((4, pilots))
    for _ in range(ticks - SCORED_TICKS):
        for row, share in ((0, SCOPE), (2, 1 - SCOPE)):
            counts[row] = rng.poisson(jobs * share, pilots)
            counts[row + 1] = rng.binomial(counts[row].astype(int), RATE * shown)
        watch.observe([counts], TICK_S)
    return int(watch.latched.sum())


def by_completion(pilots: int, ticks: int) -> int:
    """Count reverts when jobs are counted as they end: the new path shows its failures first."""
    rng = np.random.default_rng(32)
    watch = TwinErrors(pilots)
    watch.change_scope()
    jobs = JOBS_A_DAY * TICK_S / DAY_S
    for tick in range(ticks):
        started = 1.0 - (1 - 1 / FAILURE_TICKS) ** tick
        counts: Floats = np.empty((4, pilots))
        counts[1] = rng.poisson(jobs * SCOPE * RATE * started, pilots)
        counts[0] = counts[1]
        if tick >= SUCCESS_TICKS:
            counts[0] += rng.poisson(jobs * SCOPE * (1 - RATE), pilots)
        counts[3] = rng.poisson(jobs * (1 - SCOPE) * RATE, pilots)
        counts[2] = counts[3] + rng.poisson(jobs * (1 - SCOPE) * (1 - RATE), pilots)
        watch.observe([counts], TICK_S)
    return int(watch.latched.sum())


def row(pilots: int) -> Row:
    """Simulate C1, and beside it what counting by completion would do."""
    ticks = round(HOURS * 3600 / TICK_S)
    seen = {"by admission": float(by_admission(pilots, ticks))}
    ok = seen["by admission"] <= 5 * pilots / 1000
    seen["(by completion)"] = float(by_completion(pilots, ticks))
    text = f"20-min jobs with fast failures, 50 %, 3 h, {pilots} pilots"
    return Row("C1", text, seen, "<= 5 of 1000 by admission", ok)
