"""Submit many jobs at once: one ledger transaction and one publishing batch per few hundred."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery.utils import uuid
from kombu.exceptions import OperationalError

from rollout.adapters.celery.amqp import Prepared, log, prepare
from rollout.adapters.celery.marks import HEADER, queue_of
from rollout.routing.decision import JobPath

BATCH = 500


def submit_many(pipeline: Any, jobs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Submit jobs given by their keyword arguments; see `SubPipeline.submit_many`."""
    task = pipeline.task
    queue = queue_of(pipeline.name, JobPath.LEGACY)
    messages = [
        task.app.amqp.create_task_message(uuid(), task.name, (), dict(kwargs)) for kwargs in jobs
    ]
    prepared = [prepare(pipeline, message, {"queue": queue}) for message in messages]
    with task.app.producer_or_acquire() as producer:
        for first in range(0, len(messages), BATCH):
            batch = slice(first, first + BATCH)
            _submit_batch(pipeline, producer, messages[batch], prepared[batch])
    return [task.AsyncResult(message.headers["id"]) for message in messages]


def _submit_batch(
    pipeline: Any, producer: Any, messages: Sequence[Any], prepared: Sequence[Prepared]
) -> None:
    filed = pipeline.submit.file(
        pipeline.name,
        pipeline.effects,
        pipeline.holdback_bp,
        [one.filing for one in prepared],
    )
    amqp = pipeline.task.app.amqp
    try:
        with producer.batch(BATCH):
            for message, one in zip(messages, prepared, strict=True):
                marks = one.marks(filed=filed, handed=True)
                amqp.send_task_message(
                    producer,
                    pipeline.task.name,
                    message,
                    queue=amqp.queues[queue_of(pipeline.name, JobPath(marks.path))],
                    headers={HEADER: marks.header()},
                )
    except OperationalError as error:
        if not filed:
            raise
        log.warning("broker away, the sweeper will send them", why=str(error))
