"""The Celery app of `long_queue`: a sub-pipeline with a long queue, and somebody else's beside it.

The producer, the worker and the controller of that program import it with the same variables set.
"""

import os

from celery import Celery

from rollout import SubPipeline, build
from rollout.jobs.ports import Job

REDIS = os.environ["LONG_QUEUE_REDIS"]
runtime = build(ledger_url=os.environ["LONG_QUEUE_LEDGER"], broker_url=REDIS, control_url=REDIS)

app = Celery("long-queue", broker=REDIS)
app.conf.broker_connection_retry_on_startup = True


def work(number: int) -> int:
    """Nothing: what is measured is the kill."""
    return number


def _declare(name: str) -> SubPipeline:
    pipeline = SubPipeline(
        name,
        app=app,
        effects="commit",
        key="number",
        holdback_bp=0,
        time_limit=60,
        runtime=runtime,
        ignore_result=True,
    )
    pipeline.legacy(work)
    pipeline.concurrent(work)

    @pipeline.commit
    def write(result: int, job: Job) -> None:
        """Commit nothing but the job."""

    return pipeline


LONG = _declare("long")
OTHER = _declare("other")
