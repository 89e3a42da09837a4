"""An app whose path is held up by what a test plants; run by real workers."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery

from rollout import SubPipeline

FOLDER = Path(os.environ.get("PLANT_FOLDER", "/nowhere"))
HOLD_S = 0.02
app = Celery("plant", broker="redis://127.0.0.1:1/0")
work = SubPipeline("work", app=app, effects="none", time_limit=60)
unsafe = SubPipeline("unsafe", app=app, effects="unsafe")


@work.legacy
def alone(kind: str) -> int:
    """The path of today."""
    return 1


def compute() -> None:
    """Need a core."""
    sum(range(400_000))


def sleep() -> None:
    """Wait for a service that lets everybody in."""
    time.sleep(HOLD_S)


def lock() -> None:
    """Hold what one can have at a time."""
    with (FOLDER / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(HOLD_S)


def pool() -> None:
    """Hold one of three."""
    while True:
        for number in range(3):
            with (FOLDER / f"pool-{number}").open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                time.sleep(HOLD_S)
                return
        time.sleep(0.001)


KINDS: dict[str, Callable[[], object]] = {
    "compute": compute, "sleep": sleep, "lock": lock, "pool": pool,
    "die": lambda: os._exit(3), "hang": lambda: time.sleep(600),
}  # fmt: skip


@work.concurrent
def together(kind: str) -> int:
    """The path on trial."""
    if kind == "raise":
        raise ValueError("boom")
    KINDS[kind]()
    return 1


@unsafe.legacy
def pay(kind: str) -> None:
    """Touches the world."""
    raise AssertionError("a scale test never runs what is unsafe")


@unsafe.concurrent
def pay_faster(kind: str) -> None:
    """Touches the world."""
    raise AssertionError("a scale test never runs what is unsafe")
