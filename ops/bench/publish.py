"""Publishing: delay() of a sub-pipeline beside delay() of the same work as a bare task."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

from ops.bench import jobs
from ops.bench.figures import medians_us, take_turns
from ops.bench.servers import LEDGERS
from rollout import JobPath

ROUNDS = 400
MANY, MANY_ROUNDS = 500, 3


def measure() -> dict[str, float]:
    """Microseconds to publish one job, one at a time (they take turns) and with submit_many."""
    pipelines = {ledger: jobs.PIPELINES[ledger, JobPath.CONCURRENT] for ledger in LEDGERS}
    actions: dict[str, Callable[[], object]] = {
        "bare": partial(jobs.bare.delay, number=7, sleep_ms=0)
    }
    for ledger, pipeline in pipelines.items():
        actions[ledger] = partial(pipeline.delay, number=7, sleep_ms=0)
    found = medians_us(take_turns(actions, ROUNDS))
    many: dict[str, list[float]] = {ledger: [] for ledger in LEDGERS}
    for _ in range(MANY_ROUNDS):
        for ledger, pipeline in pipelines.items():
            started = time.perf_counter()
            pipeline.submit_many([{"number": n, "sleep_ms": 0} for n in range(MANY)])
            many[ledger].append((time.perf_counter() - started) / MANY)
    for ledger in LEDGERS:
        found[f"{ledger}_many"] = round(median(many[ledger]) * 1e6, 1)
        found[f"{ledger}_added"] = round(found[ledger] - found["bare"], 1)
        found[f"{ledger}_ratio"] = round(found[ledger] / found["bare"], 2)
        found[f"{ledger}_many_ratio"] = round(found[f"{ledger}_many"] / found["bare"], 2)
    return found
