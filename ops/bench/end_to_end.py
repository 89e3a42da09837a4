"""End to end: the same work as a bare task and as a sub-pipeline, through one real worker.

Each turn publishes its jobs while the worker does not listen to that queue, then lets it, and
reads when the jobs started. What one job takes is

    publishing: wall time of the delay() calls / jobs
  + working:    (last start - start of the first counted job) / jobs between them

so a worker's start, its connections and the control message are in neither, and `added_ms` is the
difference to the bare task of the same turn. The worker is prefork with two processes: like the
bare task's, our work is spread over two processes, as in production. `steps.py` has the plain sum
of the steps, which is larger.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.bench import jobs
from ops.bench.figures import difference_ms, ratio
from ops.bench.servers import LEDGERS, Servers, send_all_to_concurrent
from rollout import JobPath

TIMEOUT_S = 60
WARM_UP = 40
"""Jobs at the start of a turn that are not counted: connections are opened in them."""
ASTRAY_MAX = 0.02
"""Share of jobs on another path that leaves a figure what it says it is."""


@dataclass
class Taken:
    """Seconds a job, one value a turn."""

    publishing: list[float] = field(default_factory=list)
    working: list[float] = field(default_factory=list)

    @property
    def whole(self) -> list[float]:
        """Both together."""
        return [a + b for a, b in zip(self.publishing, self.working, strict=True)]


def measure(servers: Servers, node: str) -> dict[str, Any]:
    """Run no-ops, then jobs of 20 ms.

    Raises:
        RuntimeError: A job did not run, or not on the path that is measured.
    """
    for ledger in LEDGERS:
        runtime = servers.runtime(ledger)
        send_all_to_concurrent(runtime, f"{ledger}-{JobPath.CONCURRENT}")
        runtime.close()
    _wait_for(node)
    _turns(node, count=WARM_UP + 20, sleep_ms=0, rounds=1)
    found: dict[str, Any] = {}
    for label, taken in (
        ("noop", _turns(node, count=300, sleep_ms=0, rounds=5)),
        ("sleep_20ms", _turns(node, count=WARM_UP + 120, sleep_ms=20, rounds=3)),
    ):
        bare = taken["bare"]
        found[label] = {
            name: {
                "ms": round(1e3 * sorted(one.whole)[len(one.whole) // 2], 3),
                "added_ms": difference_ms(one.whole, bare.whole),
                "added_publishing_ms": difference_ms(one.publishing, bare.publishing),
                "added_working_ms": difference_ms(one.working, bare.working),
                "ratio": ratio(one.whole, bare.whole),
            }
            for name, one in taken.items()
        }
    found["jobs_sent_to_legacy_by_a_slow_store"] = _check(servers)
    return found


def _turns(node: str, count: int, sleep_ms: float, rounds: int) -> dict[str, Taken]:
    queues: dict[str, tuple[list[str], Callable[..., Any]]] = {"bare": (["bare"], jobs.bare.delay)}
    for (ledger, path), pipeline in jobs.PIPELINES.items():
        # Both queues: a gate that is not answered in time sends its job to legacy.
        both = [f"{pipeline.declared.name}.{other}" for other in JobPath]
        queues[f"{ledger}_{path}"] = (both, pipeline.delay)
    taken = {name: Taken() for name in queues}
    for _ in range(rounds):
        for name, (listened, delay) in queues.items():
            started = time.perf_counter()
            for number in range(count):
                delay(number=number, sleep_ms=sleep_ms)
            taken[name].publishing.append((time.perf_counter() - started) / count)
            taken[name].working.append(_work_off(node, listened, count))
    return taken


def _work_off(node: str, queues: list[str], count: int) -> float:
    """Let the worker run the queued jobs; seconds a job, from start to start."""
    Path(jobs.STAMPS).write_bytes(b"")
    for queue in queues:
        jobs.app.control.add_consumer(queue, destination=[node], reply=True)
    deadline = time.monotonic() + TIMEOUT_S
    # Coarse, so that looking takes nothing from the two cores.
    while len(jobs.read_stamps()) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{queues}: {len(jobs.read_stamps())} of {count} jobs ran")
        time.sleep(0.1)
    for queue in queues:
        jobs.app.control.cancel_consumer(queue, destination=[node], reply=True)
    starts = jobs.read_stamps()
    return (starts[-1] - starts[WARM_UP]) / (len(starts) - 1 - WARM_UP)


def _wait_for(node: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not jobs.app.control.ping(destination=[node], timeout=0.5):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no worker {node} after {TIMEOUT_S} s")


def _check(servers: Servers) -> int:
    """See that the jobs were committed by the path that their figures claim.

    Returns:
        How many were sent to legacy instead, because a gate was not answered in time.
    """
    astray = whole = 0
    for ledger in LEDGERS:
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
