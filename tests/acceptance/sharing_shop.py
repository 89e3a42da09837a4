"""An app whose jobs of two sub-pipelines share a warehouse; each run writes down when it was in."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery

from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

CAPACITY = 2


class SharingShop:
    """The app and its two sub-pipelines."""

    def __init__(self, settings: Settings) -> None:
        broker = settings.broker()
        self.app = Celery("sharing", broker=broker, backend=broker.removesuffix("0") + "1")
        runtime = Runtime(settings)
        runtime.capacities = {"warehouse": CAPACITY}  # in earnest rollout.toml says it
        self.invoices = self._declare("invoices", runtime)
        self.bills = self._declare("bills", runtime)

    def _declare(self, name: str, runtime: Runtime) -> SubPipeline:
        made = SubPipeline(
            name,
            app=self.app,
            effects="none",
            key="number",
            resources={"warehouse": 1},
            runtime=runtime,
        )
        made.legacy(one_by_one)
        made.concurrent(overlapped)
        return made


def one_by_one(number: int, file: str, what: str = "ok") -> int:
    """The legacy path, on which nothing breaks."""
    return _load(number, file, "ok")


def overlapped(number: int, file: str, what: str = "ok") -> int:
    """The concurrent path."""
    return _load(number, file, what)


def _load(number: int, file: str, what: str) -> int:
    began = time.monotonic()
    time.sleep(0.05)
    match what:
        case "fails":
            _note(file, began)
            raise ValueError(f"load {number} is broken")
        case "dies":  # what it held comes back by the process that sees it die
            os.kill(os.getpid(), signal.SIGKILL)
    _note(file, began)
    return number


def _note(file: str, began: float) -> None:
    with Path(file).open("a") as lines:
        lines.write(f"{began} {time.monotonic()}\n")


app: Any = SharingShop(read_settings()).app
