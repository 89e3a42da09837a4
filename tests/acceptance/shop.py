"""An app as a platform team would write it, whose jobs fail in the way their argument says."""

import os
import signal
import time
from typing import Any

from celery import Celery, current_task
from sqlalchemy import text

from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

EFFECT_TABLE = (
    "CREATE TABLE effect (job_id VARCHAR(191) PRIMARY KEY, path VARCHAR(12), what VARCHAR(20))"
)


class Shop:
    """The app and its sub-pipelines."""

    def __init__(self, settings: Settings) -> None:
        runtime = Runtime(settings)
        broker = settings.broker()
        self.app = Celery("shop", broker=broker, backend=broker.removesuffix("0") + "1")
        self.app.conf.worker_cancel_long_running_tasks_on_connection_loss = False
        self.invoices = SubPipeline(
            "invoices",
            app=self.app,
            effects="commit",
            key="customer_id",
            task_name="shop.tasks.bill",
            max_retries=3,
            runtime=runtime,
        )
        self.invoices.legacy(bill_one_by_one)
        self.invoices.concurrent(bill_overlapped)
        self.invoices.commit(write)
        self.reports = SubPipeline(
            "reports", app=self.app, effects="none", key="customer_id", runtime=runtime
        )
        self.reports.legacy(report_one_by_one)
        self.reports.concurrent(report_overlapped)
        self.payments = SubPipeline(
            "payments", app=self.app, effects="unsafe", key="customer_id", runtime=runtime
        )
        self.payments.legacy(bill_one_by_one)
        self.payments.concurrent(bill_overlapped)
        self.gather = self.app.task(gather, name="shop.tasks.gather", shared=False)


def bill_one_by_one(customer_id: int, what: str = "ok", seconds: float = 0) -> Any:
    """The legacy path."""
    return _bill(JobPath.LEGACY, customer_id, what, seconds)


def bill_overlapped(customer_id: int, what: str = "ok", seconds: float = 0) -> Any:
    """The concurrent path."""
    return _bill(JobPath.CONCURRENT, customer_id, what, seconds)


def _bill(path: JobPath, customer_id: int, what: str, seconds: float) -> Any:
    concurrent = path is JobPath.CONCURRENT
    match what:
        case "fails" if concurrent:
            raise ValueError("the concurrent path is broken")
        case "fails on both":
            raise ValueError(f"the input is broken on {path}")
        case "exits" if concurrent:
            raise SystemExit(3)
        case "slow" if concurrent:
            time.sleep(seconds)
        case "dies" if concurrent:
            os.kill(os.getpid(), signal.SIGKILL)
        case "kills all":
            os.kill(os.getpid(), signal.SIGKILL)
        case "retries" if current_task.request.retries < 2:
            raise current_task.retry(countdown=0.2)
        case "retries later" if current_task.request.retries < 1:
            raise current_task.retry(countdown=seconds)
    return [customer_id, what, str(path)]


def write(rows: Any, job: Job) -> Any:
    """The commit hook: a second application breaks the primary key."""
    job.connection.execute(
        text("INSERT INTO effect VALUES (:job_id, :path, :what)"),
        {"job_id": job.job_id, "path": str(job.path), "what": rows[1]},
    )
    return str(job.path)


def report_one_by_one(customer_id: int) -> str:
    """The legacy path."""
    return "legacy"


def report_overlapped(customer_id: int) -> str:
    """The concurrent path."""
    return "concurrent"


def gather(results: list[str]) -> list[str]:
    """The body of a chord."""
    return sorted(results)


app = Shop(read_settings()).app
