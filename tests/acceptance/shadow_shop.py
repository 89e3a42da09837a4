"""An app whose concurrent path misbehaves in its shadow, in the way the job's argument says."""

import os
import signal
import time
from typing import Any

from celery import Celery
from sqlalchemy import text

from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.shadow.compare import Comparison
from rollout.wiring import Runtime

EFFECT_TABLE = "CREATE TABLE effect (job_id VARCHAR(191) PRIMARY KEY, path VARCHAR(12))"


class ShadowShop:
    """The app and its sub-pipeline."""

    def __init__(self, settings: Settings) -> None:
        broker = settings.broker()
        self.app = Celery("shop", broker=broker, backend=broker.removesuffix("0") + "1")
        self.invoices = SubPipeline(
            "invoices",
            app=self.app,
            effects="commit",
            compare=Comparison(ignore=("path",)),
            runtime=Runtime(settings),
        )
        self.invoices.legacy(bill_one_by_one)
        self.invoices.concurrent(bill_overlapped)
        self.invoices.commit(write)


def bill_one_by_one(lines: list[int], what: str = "ok") -> dict[str, Any]:
    """The legacy path; it changes its argument in place, as careless code does."""
    lines.append(1)
    return {"total": sum(lines), "path": "legacy"}


def bill_overlapped(lines: list[int], what: str = "ok") -> dict[str, Any]:
    """The concurrent path."""
    lines.append(1)
    match what:
        case "fails":
            raise ValueError("the concurrent path is broken")
        case "exits":
            raise SystemExit(3)
        case "hangs":
            time.sleep(600)
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "blows up":
            lines = lines * 100_000_000
        case "differs":
            return {"total": sum(lines) + 1, "path": "concurrent"}
    return {"total": sum(lines), "path": "concurrent"}


def write(bill: dict[str, Any], job: Job) -> Any:
    """The commit hook: a second application breaks the primary key."""
    job.connection.execute(
        text("INSERT INTO effect VALUES (:job_id, :path)"),
        {"job_id": job.job_id, "path": bill["path"]},
    )
    return bill["total"]


app = ShadowShop(read_settings()).app
