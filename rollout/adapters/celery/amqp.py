"""The door: every message of a declared task passes here before it leaves the process.

Celery's `send_task_message` is the one function that delay, apply_async, send_task, canvas, beat
and retries all end in, and the only one that holds the whole message. A `task_routes` function
would see neither chain nor chord, and a signal's exceptions are swallowed (decision 0003).

The path is decided before that function runs, and the job is filed inside it, when it hands the
finished message to the broker: what is kept of a job is then what was sent, field by field.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from celery.app.amqp import AMQP

from rollout.adapters.celery.amqp_refusals import explained
from rollout.adapters.celery.batch import current_batch
from rollout.adapters.celery.departure import Departure
from rollout.adapters.celery.marks import queue_of
from rollout.adapters.celery.own_queues import OwnQueues
from rollout.adapters.celery.shadow_queue import shadow_queue_of
from rollout.routing.decision import JobPath

PIPELINES = "rollout_pipelines"
"""Name under which an app holds what is declared on it."""
DESTINATION = frozenset({"queue", "exchange", "exchange_type", "routing_key"})
"""What a route says of where a message goes; the rest is how it is sent."""


class RoutedAMQP(AMQP):
    """An app's AMQP with the door in it."""

    @cached_property
    def send_plainly(self) -> Callable[..., Any]:
        """Celery's own way out, without the door."""
        sender: Callable[..., Any] = super()._create_task_sender()
        return sender

    @cached_property
    def queues_cls(self) -> Callable[..., Any]:
        """Makes the app's queues; ours are among them."""
        return partial(OwnQueues, lambda: own_queues(self.app))

    def Router(self, queues: Any = None, create_missing: Any = None) -> Any:
        """Route declared tasks first, whatever queue `task_routes` has for their names."""
        router, theirs = (super(RoutedAMQP, self).Router(queues, create_missing) for _ in range(2))
        router.routes = [_LegacyByDefault(self.app, theirs), *router.routes]
        return router

    def TaskConsumer(self, *args: Any, **kwargs: Any) -> Any:
        """Declare the worker's queues; raises BrokerRefuses where RabbitMQ has them otherwise."""
        try:
            return super().TaskConsumer(*args, **kwargs)
        except Exception as error:
            if (told := explained(error)) is not None:
                raise told from error
            raise

    def _create_task_sender(self) -> Callable[..., Any]:
        send = self.send_plainly
        app, queues = self.app, self.queues

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            pipeline = pipelines_of(app).get(name)
            if pipeline is None:
                return send(producer, name, message, **options)
            departure = Departure(pipeline, message, options, queues)
            batch = current_batch.get(None)
            if batch is not None and batch.takes(departure):
                return batch.take(departure, send, producer, name)
            return departure.send(send, producer, name)

        return send_task_message


def door_into(base: type) -> type:
    """The class that an app with this AMQP class gets; Celery's own is made once, for pickling."""
    if base is AMQP:
        return RoutedAMQP
    return base if issubclass(base, RoutedAMQP) else type(base.__name__, (RoutedAMQP, base), {})


def pipelines_of(app: Any) -> dict[str, Any]:
    """What is declared on this app, by task name."""
    by_name: dict[str, Any] = app.__dict__.get(PIPELINES, {})
    return by_name


def own_queues(app: Any) -> set[str]:
    """Names of the queues of what is declared on this app."""
    names = [pipeline.name for pipeline in pipelines_of(app).values()]
    return {queue_of(name, path) for name in names for path in JobPath} | {
        shadow_queue_of(name) for name in names
    }


class _LegacyByDefault:
    """Routes declared tasks to legacy when the caller names no queue: in doubt, legacy.

    What else `task_routes` says of them, a priority for example, holds as it did.
    """

    def __init__(self, app: Any, theirs: Any) -> None:
        self._app = app
        self._theirs = theirs

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Any, task: Any = None
    ) -> dict[str, Any] | None:
        pipeline = pipelines_of(self._app).get(name)
        if pipeline is None:
            return None
        route = self._theirs.lookup_route(name, args, kwargs, options, task)
        more = route if isinstance(route, Mapping) else {}
        kept = {option: value for option, value in more.items() if option not in DESTINATION}
        return {**kept, "queue": queue_of(pipeline.name, JobPath.LEGACY)}
