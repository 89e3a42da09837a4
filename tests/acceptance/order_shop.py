"""An app whose jobs of one customer keep their order; a commit hook writes the order down."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import text

from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

EFFECT_TABLE = "CREATE TABLE effect (id INTEGER PRIMARY KEY, customer INT, number INT, path TEXT)"


class OrderShop:
    """The app and its one sub-pipeline."""

    def __init__(self, settings: Settings) -> None:
        broker = settings.broker()
        self.app = Celery("orders", broker=broker, backend=broker.removesuffix("0") + "1")
        self.invoices = SubPipeline(
            "invoices",
            app=self.app,
            effects="commit",
            key="customer_id",
            order="key",
            runtime=Runtime(settings),
        )
        self.invoices.legacy(one_by_one)
        self.invoices.concurrent(overlapped)
        self.invoices.commit(write)


def one_by_one(customer_id: int, number: int, what: str = "ok", file: str = "") -> Any:
    """The legacy path."""
    return _work(customer_id, number, "fails on both" if what == "fails on both" else "ok", file)


def overlapped(customer_id: int, number: int, what: str = "ok", file: str = "") -> Any:
    """The concurrent path."""
    return _work(customer_id, number, what, file)


def _work(customer_id: int, number: int, what: str, file: str) -> Any:
    time.sleep(0.005 * (number * 7 % 5))
    match what:
        case "fails" | "fails on both":
            raise ValueError(f"job {number} is broken")
        case "dies once" if not Path(file).exists():
            Path(file).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return [customer_id, number]


def write(rows: Any, job: Job) -> Any:
    """The commit hook."""
    job.connection.execute(
        text("INSERT INTO effect (customer, number, path) VALUES (:customer, :number, :path)"),
        {"customer": rows[0], "number": rows[1], "path": str(job.path)},
    )
    return rows[1]


app: Any = OrderShop(read_settings()).app
