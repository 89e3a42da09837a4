"""Submit many jobs at once: one ledger transaction and one publishing batch per few hundred."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery.utils import uuid
from kombu.exceptions import OperationalError

from rollout.adapters.celery.amqp import Departure, Prepared
from rollout.adapters.celery.marks import HEADER, queue_of
from rollout.log import log
from rollout.routing.decision import JobPath

BATCH = 500


def submit_many(pipeline: Any, jobs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Submit jobs given by their keyword arguments; see `SubPipeline.submit_many`."""
    task = pipeline.task
    for kwargs in jobs:
        task.__header__(**kwargs)  # Celery's check of the arguments, as `delay` makes it
    given = [_message(task, kwargs) for kwargs in jobs]
    with task.app.producer_or_acquire() as producer:
        prepared = [_prepare(pipeline, producer, message) for message in given]
        for first in range(0, len(prepared), BATCH):
            _submit_batch(pipeline, producer, prepared[first : first + BATCH])
    return [task.AsyncResult(message.headers["id"]) for message in given]


def _message(task: Any, kwargs: Mapping[str, Any]) -> Any:
    """What `delay` makes of the arguments and the task's own options."""
    limits = {name: getattr(task, name) for name in ("expires", "time_limit", "soft_time_limit")}
    return task.app.amqp.create_task_message(
        uuid(),
        task.name,
        (),
        dict(kwargs),
        ignore_result=task.ignore_result,
        argsrepr="()",  # as Celery writes it, which takes its time
        **limits,
    )


def _prepare(pipeline: Any, producer: Any, message: Any) -> Prepared:
    amqp = pipeline.task.app.amqp
    options = {
        "queue": queue_of(pipeline.name, JobPath.LEGACY),
        **{
            name: value
            for name, value in pipeline.task._get_exec_options().items()
            if value is not None and name in ("priority", "delivery_mode", "compression")
        },
    }
    departure = Departure(pipeline, message, options, amqp.queues)
    return departure.capture(amqp.send_plainly, producer, pipeline.task.name)


def _submit_batch(pipeline: Any, producer: Any, prepared: Sequence[Prepared]) -> None:
    filed = pipeline.submit.file(
        pipeline.name,
        pipeline.effects,
        pipeline.holdback_bp,
        [one.filing for one in prepared],
        on_failure=pipeline.on_failure,
    )
    queues = {name: [pipeline.task.app.amqp.queues[name]] for name in _names(pipeline)}
    try:
        with producer.batch(BATCH):
            for one in prepared:
                message = one.marked(filed=filed)
                queue = queue_of(pipeline.name, JobPath(message.headers[HEADER]["path"]))
                # Declared with its first message: kombu copies a queue each time it is named.
                message.publish(producer, queue, declare=queues.pop(queue, []))
    except OperationalError as error:
        if not filed:
            raise
        log.warning("broker away, the sweeper will send them", why=str(error))


def _names(pipeline: Any) -> list[str]:
    return [queue_of(pipeline.name, path) for path in JobPath]
