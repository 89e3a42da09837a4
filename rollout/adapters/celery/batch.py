"""Submits many jobs at once: one ledger transaction and one publishing batch per few hundred.

Each job is sent by its task's own `apply_async`, so that it has all that a job has that is sent
alone; the door keeps the finished messages until all of them are there.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from rollout.adapters.celery.amqp_refusals import why_not_taken
from rollout.adapters.celery.broker_errors import is_brokers
from rollout.adapters.celery.departure import OPTED_OUT, Departure, Prepared, Published
from rollout.adapters.celery.marks import HEADER, queue_of
from rollout.log import log
from rollout.routing.decision import JobPath

SIZE = 500


class Batch:
    """Messages of one sub-pipeline that leave together."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._taken: list[tuple[Prepared, Sequence[Published]]] = []

    def takes(self, departure: Departure) -> bool:
        """Whether the message is one of this batch: of its sub-pipeline, and routed by rollout."""
        return departure.pipeline is self._pipeline and departure.decision is not OPTED_OUT

    def take(
        self, departure: Departure, send: Callable[..., Any], producer: Any, name: str
    ) -> None:
        """Keep the finished message."""
        self._taken.append(departure.capture(send, producer, name))

    def leave(self, producer: Any) -> None:
        """File and publish what is kept."""
        for first in range(0, len(self._taken), SIZE):
            self._publish(producer, self._taken[first : first + SIZE])

    def _publish(
        self, producer: Any, taken: Sequence[tuple[Prepared, Sequence[Published]]]
    ) -> None:
        pipeline = self._pipeline
        filings = [prepared.filing for prepared, _ in taken]
        filed = pipeline.submit.file(
            pipeline.name,
            pipeline.effects,
            pipeline.holdback_bp,
            filings,
            on_failure=pipeline.on_failure,
        )
        declared = pipeline.task.app.amqp.queues
        names = [queue_of(pipeline.name, path) for path in JobPath]
        queues = {name: [declared[name]] for name in names}
        try:
            with producer.batch(SIZE):
                for prepared, events in taken:
                    message = prepared.marked(filed=filed)
                    queue = queue_of(pipeline.name, JobPath(message.headers[HEADER]["path"]))
                    # Declared with its first message: kombu copies a queue each time it is named.
                    message.publish(producer, queue, declare=queues.pop(queue, []))
                    for body, options in events:
                        producer.publish(body, **options)
        except Exception as error:
            if not filed or not is_brokers(error):
                raise
            log.warning(
                "broker does not take them, the sweeper will send them", why=why_not_taken(error)
            )
        else:
            if not filed:
                pipeline.submit.remember(pipeline.effects, filings)


current_batch: ContextVar[Batch | None] = ContextVar("rollout_current_batch", default=None)
"""The batch that the messages of this context go into."""


def submit_many(pipeline: Any, jobs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Submit jobs given by their keyword arguments; see `SubPipeline.submit_many`."""
    task = pipeline.task
    for kwargs in jobs:
        task.__header__(**kwargs)  # before anything of a job is done, such as a lock of its class
    batch = Batch(pipeline)
    with task.app.producer_or_acquire() as producer:
        token = current_batch.set(batch)
        try:
            results = [task.apply_async((), dict(kwargs), producer=producer) for kwargs in jobs]
        finally:
            current_batch.reset(token)
        batch.leave(producer)
    return results
