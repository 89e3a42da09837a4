"""An app whose concurrent path is a graph of steps; its legacy path is the same in sequence."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from rollout.execution import Graph, Mapped, Step
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime


class GraphShop:
    """The app and its one sub-pipeline."""

    def __init__(self, settings: Settings) -> None:
        broker = settings.broker()
        self.app = Celery("graphs", broker=broker, backend=broker.removesuffix("0") + "1")
        self.invoices = SubPipeline(
            "invoices",
            app=self.app,
            effects="none",
            key="customer_id",
            runtime=Runtime(settings),
            time_limit=20,
        )
        self.invoices.concurrent(steps, execution={"workers": 2})


def steps(customer_id: int, folder: str = "", step_s: float = 0.0, broken: int = -1) -> Graph:
    """Thirty parts, two at a time; each leaves a file with its process."""

    def part(number: int) -> int:
        if folder:
            Path(folder, f"{os.getpid()}-{number}").touch()
        time.sleep(step_s)
        if number == broken:
            raise ValueError(f"part {number} is broken")
        return number

    return Graph("parts", [Mapped("part", part, range(30)), Step("sum", sum, ["part"])])


app: Any = GraphShop(read_settings()).app
