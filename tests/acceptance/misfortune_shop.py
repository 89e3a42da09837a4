"""An app whose concurrent path is a graph or a chain in which something goes wrong as asked."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery

from rollout.execution import Barrier, Chain, Flow, Graph, Stage, Step
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

LIMIT_S = 6
MANY = 10_000
"""Steps of a large graph."""
BATCHES, UNLUCKY = 5, 2
"""The third batch of five is the one in which it happens."""


class MisfortuneShop:
    """The app and its one sub-pipeline; effects none, so that legacy takes over what it can."""

    def __init__(self, settings: Settings) -> None:
        broker = settings.broker()
        self.app = Celery("misfortunes", broker=broker, backend=broker.removesuffix("0") + "1")
        self.invoices = SubPipeline(
            "invoices",
            app=self.app,
            effects="none",
            key="customer_id",
            runtime=Runtime(settings),
            time_limit=LIMIT_S,
        )
        self.invoices.concurrent(build, execution={})


def build(customer_id: int, what: str, folder: str, on_both: bool = False) -> Graph | Flow:
    """What the job asks for; each step and batch leaves a file with its process."""

    def came(name: object) -> None:
        Path(folder, f"{os.getpid()}-{name}").touch()

    if what == "gate":
        return _gated(came)
    if what == "ring":
        return Graph("ring", [Step("hen", print, ["egg"]), Step("egg", print, ["hen"])])
    if what == "many":
        tree = [Step(f"s{n}", _one, [f"s{(n - 1) // 2}"] if n else []) for n in range(MANY - 1)]
        return Graph("many", [*tree, Step("count", _count, [step.name for step in tree])])
    first = Path(folder, "first")

    def unlucky(batch: list[int]) -> list[int]:
        came(batch[0])
        if batch[0] == UNLUCKY and (on_both or not first.exists()):
            first.touch()
            MISFORTUNES[what]()
        time.sleep(0.05)
        return batch

    return Flow(Chain("numbers", [Stage("take", unlucky)], size=1), range(BATCHES))


def _one(*before: int) -> int:
    return 1


def _count(*before: int) -> int:
    return 1 + sum(before)


def _gated(came: Callable[[object], None]) -> Graph:
    def load() -> int:
        came("load")
        return 41

    def publish(loaded: int) -> int:
        came("publish")
        return loaded

    return Graph(
        "gated",
        [
            Step("load", load),
            Barrier("complete", lambda before: before["load"] == 42, after=["load"]),
            Step("publish", publish, ["load"], after=["complete"]),
        ],
    )


def _raise() -> None:
    raise ValueError(f"item {UNLUCKY} is broken")


def _die() -> None:
    os._exit(9)


MISFORTUNES: dict[str, Callable[[], None]] = {
    "raises": _raise,
    "dies": _die,
    "hangs": lambda: time.sleep(60),
    "is slow": lambda: time.sleep(2),
}

app: Any = MisfortuneShop(read_settings()).app
