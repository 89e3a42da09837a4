"""Four processes that claim and commit on one SQLite file at once: what they wait for its lock."""

import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

from ops.bench.steps import ENVELOPE, SILENT
from rollout import JobPath, Reason, build
from rollout.adapters.sql.migrate import migrate
from rollout.jobs.ports import Filing, Refused
from rollout.routing.effects import Effects

NAME = "bench-writers"
WRITERS, JOBS = 4, 250


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Microseconds of claim + commit: one writer, then four at once."""
    return {
        f"writers_{writers}": _measure(f"sqlite:///{folder}/writers-{writers}.db", writers)
        for writers in (1, WRITERS)
    }


def _measure(url: str, writers: int) -> dict[str, float]:
    runtime = build(ledger_url=url, control_url="memory://")
    migrate(runtime.database)
    now = runtime.clock.now()
    runtime.ledger.ensure(NAME, Effects.NONE, 0, now)
    shares = [[str(uuid4()) for _ in range(JOBS)] for _ in range(writers)]
    for share in shares:
        filings = [
            Filing(job_id, NAME, "7", JobPath.LEGACY, Reason.STAGE, 1, ENVELOPE, now)
            for job_id in share
        ]
        runtime.ledger.file(filings)
    runtime.close()
    # Spawned, not forked: each is a worker of its own, and begins at the same time.
    context = get_context("spawn")
    barrier = context.Barrier(writers)
    with context.Pool(writers, _keep_barrier, (barrier,)) as pool:
        taken = [
            one for many in pool.starmap(_write, [(url, s) for s in shares], 1) for one in many
        ]
    cut = quantiles(taken, n=100)
    return {
        "p50": round(median(taken) * 1e6, 1),
        "p95": round(cut[94] * 1e6, 1),
        "p99": round(cut[98] * 1e6, 1),
        "max": round(max(taken) * 1e6, 1),
        "jobs_per_s": round(writers / (sum(taken) / len(taken))),
    }


_barrier: list[object] = []


def _keep_barrier(barrier: object) -> None:
    _barrier.append(barrier)


def _write(url: str, job_ids: list[str]) -> list[float]:
    runtime = build(ledger_url=url, control_url="memory://")
    ledger, now = runtime.ledger, runtime.clock.now
    ledger.control(NAME)
    _barrier[0].wait(60)  # type: ignore[attr-defined]  # multiprocessing names no type for it
    taken = []
    for job_id in job_ids:
        started = time.perf_counter()
        claim = ledger.claim(NAME, job_id, JobPath.LEGACY, Effects.NONE, "bench", now(), SILENT)
        assert not isinstance(claim, Refused), f"the claim said {claim}"
        ledger.commit(claim, Effects.NONE, lambda connect: "null", now())
        taken.append(time.perf_counter() - started)
    runtime.close()
    return taken
