"""The Celery app of the measurements: one no-op, as two bare tasks and as four sub-pipelines.

The worker imports this module, and so does the publishing process, with the same variables set.
"""

import os
import struct
import time
from pathlib import Path

from celery import Celery

from ops.bench.servers import LEDGERS, TCP
from rollout import JobPath, SubPipeline, build

REDIS, STAMPS = os.environ["BENCH_REDIS"], os.environ["BENCH_STAMPS"]
STAMP = struct.Struct("d")

app = Celery("bench", broker=REDIS, backend=REDIS)
app.conf.task_routes = {"bare": {"queue": "bare"}, "late": {"queue": "late"}}
app.conf.broker_connection_retry_on_startup = True

_stamps: dict[int, int] = {}


def work(number: int, sleep_ms: float) -> None:
    """Note the start (a few microseconds, the same for all) and take `sleep_ms`."""
    pid = os.getpid()
    if pid not in _stamps:
        _stamps[pid] = os.open(STAMPS, os.O_WRONLY | os.O_APPEND)
    os.write(_stamps[pid], STAMP.pack(time.monotonic()))
    if sleep_ms:
        time.sleep(sleep_ms / 1000)


@app.task(name="bare", ignore_result=True)  # type: ignore[untyped-decorator]  # Celery has no types
def bare(number: int, sleep_ms: float) -> None:
    """The work as a plain Celery task with Celery's defaults (acknowledged at the start)."""
    work(number, sleep_ms)


@app.task(name="late", ignore_result=True, acks_late=True)  # type: ignore[untyped-decorator]
def late(number: int, sleep_ms: float) -> None:
    """The work as a plain Celery task that is acknowledged at its end, as rollout's has to be."""
    work(number, sleep_ms)


def _declare(ledger: str, path: JobPath) -> SubPipeline:
    runtime = build(
        ledger_url=os.environ[f"BENCH_{ledger.upper()}"], broker_url=REDIS, control_url=REDIS
    )
    pipeline = SubPipeline(
        f"{ledger}-{path}",
        app=app,
        effects="none",
        key="number",
        holdback_bp=0,
        runtime=runtime,
        ignore_result=True,
    )
    pipeline.legacy(work)
    pipeline.concurrent(work)
    return pipeline


PIPELINES = {(ledger, path): _declare(ledger, path) for ledger in LEDGERS for path in JobPath}
PIPELINES[TCP, JobPath.CONCURRENT] = _declare(TCP, JobPath.CONCURRENT)
"""Each runs all its jobs on the one path: it is never started, or at full scope."""


def read_stamps() -> list[float]:
    """Starts so far, oldest first."""
    data = Path(STAMPS).read_bytes()
    whole = len(data) - len(data) % STAMP.size
    return sorted(start for (start,) in STAMP.iter_unpack(data[:whole]))
