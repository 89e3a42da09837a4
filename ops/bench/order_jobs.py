"""The Celery app of the measurement of `order="key"`: the same job with an order and without."""

import os
import struct
import time

from celery import Celery

from rollout import SubPipeline, build

REDIS, STAMPS = os.environ["BENCH_REDIS"], os.environ["BENCH_STAMPS"]
STAMP = struct.Struct("dd")
JOB_S = 0.02

app = Celery("bench_order", broker=REDIS)
app.conf.broker_connection_retry_on_startup = True


def work(customer: int) -> None:
    """Take 20 ms, and note when it began and ended."""
    began = time.monotonic()
    time.sleep(JOB_S)
    stamps = os.open(STAMPS, os.O_WRONLY | os.O_APPEND)
    os.write(stamps, STAMP.pack(began, time.monotonic()))
    os.close(stamps)


def _declare(name: str, order: str | None) -> SubPipeline:
    runtime = build(ledger_url=os.environ["BENCH_LEDGER"], broker_url=REDIS, control_url=REDIS)
    pipeline = SubPipeline(
        name,
        app=app,
        effects="none",
        key="customer",
        order=order,
        holdback_bp=0,
        runtime=runtime,
        ignore_result=True,
    )
    pipeline.legacy(work)
    pipeline.concurrent(work)
    return pipeline


PIPELINES = {"loose": _declare("loose", None), "ordered": _declare("ordered", "key")}
