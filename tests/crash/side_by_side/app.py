"""The job of the side-by-side table: 10 ms of work, then one row in PostgreSQL.

As a bare Celery task it inserts the row itself; behind rollout the commit hook does, through the
ledger's own transaction. `SIDE_MODE` says which.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery, signals
from sqlalchemy import text

from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline

MODES = {
    "celery": "bare Celery, its defaults",
    "celery-safest": "bare Celery, its safest settings",
    "rollout": "rollout in front of Celery",
}
DONE_TABLE = "CREATE TABLE done (number INTEGER)"  # no unique key: twice has to be visible
VISIBILITY_S = 5
WORK_S = 0.01

mode = os.environ.get("SIDE_MODE", "rollout")
app = Celery("side", broker=os.environ.get("ROLLOUT_BROKER_URL"))
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
if mode != "celery":
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # Far longer than the job and far shorter than an hour, kombu's default.
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 8,
        },
    )
_local = threading.local()


def _ready(sender: Any, **kwargs: Any) -> None:
    (Path(os.environ["SIDE_FOLDER"]) / f"ready-{sender.hostname}").touch()


signals.worker_ready.connect(_ready, weak=False)


def _insert(number: int) -> None:
    """One row, through a connection that this thread of this process keeps."""
    kept: tuple[int, psycopg.Connection] | None = getattr(_local, "kept", None)
    if kept is None or kept[0] != os.getpid():
        kept = (os.getpid(), psycopg.connect(os.environ["SIDE_DATABASE"], autocommit=True))
        _local.kept = kept
    kept[1].execute("INSERT INTO done VALUES (%s)", (number,))


def bare() -> Any:
    """The job as a task of Celery's own."""

    def work(number: int) -> None:
        time.sleep(WORK_S)
        _insert(number)

    return app.task(name="side.work", ignore_result=True)(work)


def behind_rollout() -> Any:
    """The same job as a sub-pipeline with both paths."""
    side = SubPipeline(
        "side", app=app, effects="commit", key="number", task_name="side.work", ignore_result=True
    )

    @side.legacy
    @side.concurrent
    def work(number: int) -> int:
        time.sleep(WORK_S)
        return number

    @side.commit
    def write(number: int, job: Job) -> None:
        job.connection.execute(text("INSERT INTO done VALUES (:number)"), {"number": number})

    return side


job = behind_rollout() if mode == "rollout" else bare()
