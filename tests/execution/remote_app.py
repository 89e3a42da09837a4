"""A Celery app whose workers run steps of the tests; loaded by real workers and by the tests."""

import os
import time
from typing import Any

from celery import Celery

from rollout.execution import current, reject
from rollout.execution.celery_executor import RemoteSteps

URL = os.environ.get("EXECUTION_TEST_REDIS", "redis://127.0.0.1:1/0")

app = Celery("execution", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True
app.conf.result_expires = 60
app.conf.worker_prefetch_multiplier = 1


class Corrupt(Exception):
    """A record of the tests that is corrupt."""


def add(left: int, right: int = 1) -> int:
    """A step."""
    return left + right


def about() -> dict[str, Any]:
    """What a step knows of itself there."""
    running = current()
    assert running is not None
    return {"name": running.name, "seed": running.seed, "pid": os.getpid()}


def fail(message: str) -> None:
    """A step that fails."""
    raise ValueError(message)


def die(*args: Any) -> None:
    """A step whose process dies, in the first attempt."""
    running = current()
    assert running is not None
    if running.attempt == 1:
        os._exit(9)


def hang(seconds: float) -> None:
    """A step that takes its time."""
    time.sleep(seconds)


def parse(record: str) -> int:
    """A stage per record."""
    if not record.isdigit():
        raise Corrupt(record)
    return int(record)


def double(batch: list[int]) -> list[int]:
    """A stage of whole batches."""
    for record in batch:
        if record == 13:
            reject(record, "unlucky")
    return [record * 2 for record in batch if record != 13]


remote = RemoteSteps(app, [add, about, fail, hang, parse, double, Corrupt], queue="steps")
