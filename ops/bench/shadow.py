"""`python -m ops.bench.shadow`: what shadowing costs the legacy job, whatever the shadow does.

Jobs of 20 ms go one after the other through a real legacy worker, in blocks that take turns: stage
legacy, so that nothing is copied, and stage shadow, with a shadow worker whose path is healthy,
hangs, fails or kills its process, or does each in turn. The cycle time is the ledger's, submission
to commit; the latency is the caller's, submission to result. Printed are the ratios of their
medians, on against off.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ops.bench.servers import SUPERVISED, valkey
from rollout.adapters.sql.migrate import migrate
from rollout.routing.stages import Event
from rollout.wiring import Runtime

REPORT = Path("reports/bench_shadow.json")
RATIO_MAX = 1.02
FAULTS = ("none", "hang", "fail", "kill", "mixed")
MIXED = ("hang", "fail", "kill")
NAME = "shadowed"
SWITCH_S = 1.2
"""After a change of stage: the worker looks at it once a second."""


@contextmanager
def celery(folder: Path, queue: str) -> Iterator[None]:
    """A prefork worker of one process on one queue."""
    command = [sys.executable, "-m", "celery", "-A", "ops.bench.shadow_jobs", "worker"]
    command += ["-Q", f"{NAME}.{queue}", "-n", f"{queue}-{os.getpid()}@localhost", "-c", "1"]
    command += ["--prefetch-multiplier", "1", "--without-gossip", "--without-mingle"]
    with (folder / f"{queue}.log").open("w") as output:
        process = subprocess.Popen(
            [*command, "-l", "WARNING"], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def block(pipeline: Any, runtime: Runtime, fault: str, jobs: int) -> list[tuple[float, float]]:
    """Run jobs one after the other; cycle time and latency of each, in seconds."""
    taken = []
    for number in range(jobs):
        began = time.perf_counter()
        struck = MIXED[number % len(MIXED)] if fault == "mixed" else fault
        result = pipeline.delay(number=number, fault=struck)
        result.get(timeout=60, interval=0.001)
        latency = time.perf_counter() - began
        record = runtime.ledger.job(pipeline.declared.name, result.id)
        assert record.finished_at is not None, "its result is there"
        taken.append(((record.finished_at - record.accepted_at).total_seconds(), latency))
    return taken


def measure(pipeline: Any, runtime: Runtime, fault: str, rounds: int, jobs: int) -> dict[str, Any]:
    """Take turns, off and on."""
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    turns: dict[bool, list[float]] = {False: [], True: []}
    counts: Counter[str] = Counter()
    # Which of them comes first changes with each round, so that a drift of the machine cancels.
    for turn in range(rounds):
        for on in (turn % 2 == 0, turn % 2 == 1):
            state = runtime.ledger.control(NAME)
            if (state.stage == "shadow") is not on:
                event = Event.SHADOW if on else Event.REVERT
                if on:  # the account begins afresh each time that shadow begins
                    counts.update(runtime.database_ledger.shadow_account(NAME).counts)
                runtime.changes.change(NAME, event, "bench", "turn")
                time.sleep(SWITCH_S)
                block(pipeline, runtime, fault, 2)
            part = block(pipeline, runtime, fault, jobs)
            taken[on] += part
            turns[on].append(median(one[0] for one in part))
    time.sleep(SWITCH_S)
    counts.update(runtime.database_ledger.shadow_account(NAME).counts)
    cycle = {on: median(one[0] for one in taken[on]) for on in taken}
    latency = {on: median(one[1] for one in taken[on]) for on in taken}
    return {
        "jobs": len(taken[True]),
        "cycle_ms_off": round(1e3 * cycle[False], 3),
        "cycle_ms_on": round(1e3 * cycle[True], 3),
        "cycle_ratio": round(cycle[True] / cycle[False], 4),
        # Each block against its neighbour: steadier when others use the machine.
        "cycle_ratio_of_neighbours": round(
            median(one / off for one, off in zip(turns[True], turns[False], strict=True)), 4
        ),
        "latency_ratio": round(latency[True] / latency[False], 4),
        "shadows": dict(counts),
    }


def main() -> int:
    """Measure and print; 1 when a ratio is missed."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.shadow", description=__doc__)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=20, help="jobs of a block")
    parser.add_argument("--rate", type=float, default=2.0, help="copies a second; 2 is the default")
    parser.add_argument("--faults", nargs="*", default=list(FAULTS))
    chosen = parser.parse_args()
    found: dict[str, Any] = {"rate": chosen.rate, "load": os.getloadavg()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollout-shadow-")))
        server = stack.enter_context(valkey(folder / "valkey"))
        os.environ |= {
            "BENCH_REDIS": f"redis://127.0.0.1:{server.port}/0",
            "BENCH_LEDGER": f"sqlite:///{folder}/ledger.db",
            "BENCH_RATE": str(chosen.rate),
        }
        from ops.bench.shadow_jobs import pipeline

        runtime = pipeline.runtime
        migrate(runtime.database)
        runtime.submit.ensure(NAME, pipeline.effects, pipeline.holdback_bp)
        runtime.control.project(runtime.ledger.control(NAME))
        runtime.control.beat("bench", SUPERVISED)
        stack.enter_context(celery(folder, "legacy"))
        stack.enter_context(celery(folder, "shadow"))
        block(pipeline, runtime, "none", 10)
        for fault in chosen.faults:
            found[fault] = measure(pipeline, runtime, fault, chosen.rounds, chosen.jobs)
            print(fault, json.dumps(found[fault]), flush=True)
        runtime.close()
    worst = max(found[fault]["cycle_ratio"] for fault in chosen.faults)
    found["worst_cycle_ratio"] = worst
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    print(f"worst ratio of median cycle times {worst}, aim <= {RATIO_MAX}; wrote {REPORT}")
    return 0 if worst <= RATIO_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
