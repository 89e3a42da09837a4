"""End to end by one worker: a bare task, one acknowledged late, and the same as a sub-pipeline.

Two figures, which are not added up, because in life publishing and working overlap:

    latency      one job on a plant that is not saturated: from before `delay()` until its result is
                 here, the next job only then; p50 and p99
    throughput   jobs/s of a worker that has its queue full, from start to start

Cases take turns, so that whatever else the machine does hits all of them. `late` is bare Celery
with `acks_late`: what rollout adds is told against it, and against Celery's defaults beside it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ops.bench import jobs
from ops.bench.cpu import child_named, spent_us
from ops.bench.servers import LEDGERS, TCP, Servers
from rollout import JobPath

TIMEOUT_S = 60
WARM_UP = 40
"""Jobs at the start of a turn that are not counted: connections are opened in them."""
ASTRAY_MAX = 0.02
"""Share of jobs on another path that leaves a figure what it says it is."""
LATE = "late"

Cases = dict[str, tuple[list[str], Callable[..., Any]]]


def cases() -> Cases:
    """Name of each case; the queues that its worker listens to, and what submits its jobs."""
    found: Cases = {"bare": (["bare"], jobs.bare.apply_async)}
    found[LATE] = ([LATE], jobs.late.apply_async)
    for (ledger, path), pipeline in jobs.PIPELINES.items():
        # Both queues: a gate that is not answered in time sends its job to legacy.
        both = [f"{pipeline.declared.name}.{other}" for other in JobPath]
        found[f"{ledger}_{path}"] = (both, pipeline.apply_async)
    return found


def latency(node: str, sleep_ms: float, count: int) -> dict[str, dict[str, float]]:
    """One job at a time; milliseconds until its result is here, and beside bare late Celery."""
    every = cases()
    wait_for(node)
    for queues, _ in every.values():
        listen(node, queues)
    taken: dict[str, list[float]] = {name: [] for name in every}
    for number in range(count + 5):
        for name, (_, submit) in every.items():
            started = time.perf_counter()
            job = submit(kwargs={"number": number, "sleep_ms": sleep_ms}, ignore_result=False)
            job.get(timeout=TIMEOUT_S)
            if number >= 5:
                taken[name].append((time.perf_counter() - started) * 1e3)
    for queues, _ in every.values():
        listen(node, queues, on=False)
    late = median(taken[LATE])
    return {
        name: {
            "p50_ms": round(median(ms), 3),
            "p99_ms": round(sorted(ms)[min(len(ms) - 1, len(ms) * 99 // 100)], 3),
            "over_late_ms": round(median(ms) - late, 3),
            "ratio_to_late": round(median(ms) / late, 3),
            "ratio_to_bare": round(median(ms) / median(taken["bare"]), 3),
        }
        for name, ms in taken.items()
    }


def throughput(node: str, found: Servers, count: int, rounds: int) -> dict[str, dict[str, float]]:
    """No-ops from a full queue; jobs/s, beside bare Celery, and what each process spent on one.

    Processors' microseconds are told for a job from its delivery to its end: it was submitted
    before. Those of PostgreSQL also hold what it does by itself meanwhile.
    """
    every = cases()
    wait_for(node)
    processes = {"worker": child_named(node), **found.processes}
    seconds: dict[str, list[float]] = {name: [] for name in every}
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in every}
    for turn in range(rounds + 1):
        for name, (queues, submit) in every.items():
            for number in range(WARM_UP + count):
                submit(kwargs={"number": number, "sleep_ms": 0})
            before = {one: spent_us(process) for one, process in processes.items()}
            taken = _work_off(node, queues, WARM_UP + count)
            if turn:
                seconds[name].append(taken)
                spent[name].append(
                    {
                        one: (spent_us(process) - before[one]) / (WARM_UP + count)
                        for one, process in processes.items()
                    }
                )
    rate = {name: 1 / median(values) for name, values in seconds.items()}
    return {
        name: {
            "jobs_per_s": round(jobs_per_s),
            "to_late": round(jobs_per_s / rate[LATE], 3),
            "to_bare": round(jobs_per_s / rate["bare"], 3),
            **{f"{one}_us": round(median(turn[one] for turn in spent[name])) for one in processes},
        }
        for name, jobs_per_s in rate.items()
    }


def _work_off(node: str, queues: list[str], count: int) -> float:
    """Let the worker run the queued jobs; seconds a job, from start to start."""
    Path(jobs.STAMPS).write_bytes(b"")
    listen(node, queues)
    deadline = time.monotonic() + TIMEOUT_S
    # Coarse, so that looking takes nothing from the two cores.
    while len(jobs.read_stamps()) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{queues}: {len(jobs.read_stamps())} of {count} jobs ran")
        time.sleep(0.1)
    listen(node, queues, on=False)
    starts = jobs.read_stamps()
    return (starts[-1] - starts[WARM_UP]) / (len(starts) - 1 - WARM_UP)


def listen(node: str, queues: list[str], *, on: bool = True) -> None:
    """Let the worker listen to these queues, or no more."""
    control = jobs.app.control
    for queue in queues:
        (control.add_consumer if on else control.cancel_consumer)(
            queue, destination=[node], reply=True
        )


def wait_for(node: str) -> None:
    """Wait until the worker answers. Raises RuntimeError after a minute."""
    deadline = time.monotonic() + TIMEOUT_S
    while not jobs.app.control.ping(destination=[node], timeout=0.5):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no worker {node} after {TIMEOUT_S} s")


def check(servers: Servers) -> int:
    """See that the jobs were committed by the path that their figures claim.

    Returns:
        How many were sent to legacy instead, because a gate was not answered in time.

    Raises:
        RuntimeError: Too many were, or one has another outcome.
    """
    astray = whole = 0
    for ledger in (*LEDGERS, TCP):
        runtime = servers.runtime(ledger)
        deadline = time.monotonic() + TIMEOUT_S
        names = {f"{ledger}-{path}" for path in JobPath}
        while any(count.name in names for count in runtime.ledger.open_counts()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{ledger}: unfinished {runtime.ledger.open_counts()}")
            time.sleep(0.2)
        while runtime.ledger.fold(1000):
            pass
        for tally in runtime.ledger.tallies()[0]:
            if tally.name not in names:
                continue
            if tally.outcome != "committed":
                raise RuntimeError(f"not what was to be measured: {tally}")
            whole += tally.jobs
            astray += tally.jobs if tally.name != f"{ledger}-{tally.path}" else 0
        runtime.close()
    if astray > whole * ASTRAY_MAX:
        raise RuntimeError(f"{astray} of {whole} jobs ran on another path than was measured")
    return astray
