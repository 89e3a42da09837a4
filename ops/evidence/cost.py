"""K1: what a tick costs early and late, and how large the stored state is."""

from __future__ import annotations

import json
from time import process_time

from ops.evidence.row import Row
from rollout.evidence.counts import Counts
from rollout.evidence.cycle_time import CycleTime
from rollout.evidence.error_rate import ErrorRate
from rollout.evidence.fast_path import FastPath
from rollout.evidence.recovery_watch import RecoveryWatch

BATCH = 500
REPEATS = 10
TICK = Counts(6, 0, 6, 0)
FAILED = Counts(6, 1, 6, 0)
SLOW = Counts(6, 3, 6, 3)


def row(ticks: int) -> Row:
    """Measure the tests themselves, not their twin."""
    error = ErrorRate.fresh().change_scope()

    def batch() -> float:
        nonlocal error
        begin = process_time()
        for number in range(BATCH):
            error = error.observe(FAILED if number % 30 == 0 else TICK, 10.0)
        return (process_time() - begin) / BATCH

    early = min(batch() for _ in range(REPEATS))
    for _ in range(ticks // BATCH - 2 * REPEATS):
        batch()
    late = min(batch() for _ in range(REPEATS))
    fast = FastPath.fresh().change_scope()
    cycle = CycleTime.fresh().change_scope()
    recovery = RecoveryWatch.fresh().change_scope()
    for _ in range(BATCH):
        fast = fast.observe(FAILED, 10.0, 0.005)
        cycle = cycle.observe(SLOW, TICK, 10.0)
        recovery = recovery.observe(1, 0, 10.0)
    states = {
        "error": error.to_json(),
        "fast path": fast.to_json(),
        "cycle": cycle.to_json(),
        "recovery": recovery.to_json(),
    }
    sizes = {f"{name} bytes": float(len(json.dumps(state))) for name, state in states.items()}
    seen = {"us per tick": 1e6 * late, "ratio": late / early, **sizes}
    ok = late / early <= 2 and max(sizes.values()) <= 1024
    text = f"cost of a tick after {ticks:.0e} ticks against 1e+03; state as JSON"
    return Row("K1", text, seen, "ratio <= 2; <= 1024 bytes a metric", ok)
