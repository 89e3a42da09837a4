"""Where a message is to go: the queue that was asked for, and the one that rollout chose.

RabbitMQ with quorum queues delays messages itself. Celery then sends a job with a countdown to an
exchange of delays, with the delay in bits before its routing key; it is delivered under that key.

Source: kombu.transport.native_delayed_delivery, celery.app.base.Celery.send_task (5.7).
"""

import re
from collections.abc import Mapping
from typing import Any

from kombu.transport.native_delayed_delivery import (
    MAX_LEVEL,
    MAX_NUMBER_OF_BITS_TO_USE,
    level_name,
)

DELAYS = level_name(MAX_LEVEL)
"""The exchange that Celery sends delayed messages to."""
_DELAY = re.compile(rf"^(?:[01]\.){{{MAX_NUMBER_OF_BITS_TO_USE}}}")


def without_delay(routing_key: str) -> str:
    """The routing key behind a delay."""
    return _DELAY.sub("", routing_key, count=1)


def asked_for(options: Mapping[str, Any]) -> str | None:
    """Name of the queue that a message was given for; None where nothing names one.

    Args:
        options: Of `send_task_message`, routed. Exchange and routing key together win over the
            queue, as in Celery: the caller names them, a retry brings its delivery's, and a delay
            comes as such.
    """
    exchange, routing_key = options.get("exchange"), options.get("routing_key")
    if exchange and routing_key:
        return without_delay(routing_key)
    queue = options.get("queue")
    name: str | None = getattr(queue, "name", queue)
    return name


def is_broadcast(options: Mapping[str, Any]) -> bool:
    """Whether every worker would get the message: its queue is a `Broadcast` of kombu's."""
    kinds = [options.get("exchange_type")]
    for place in (getattr(options.get("queue"), "exchange", None), options.get("exchange")):
        kinds.append(getattr(place, "type", None))
    return "fanout" in kinds


def aimed_at(queue: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `Producer.publish` that differ from the given ones, so that this queue gets it."""
    routing_key = options["routing_key"]
    exchange = options["exchange"]
    delay = _DELAY.match(routing_key)
    if delay and getattr(exchange, "name", exchange) == DELAYS and queue.routing_key == queue.name:
        return {"routing_key": delay[0] + queue.name, "declare": [queue]}
    if routing_key == queue.name:
        return {}
    return {"exchange": "", "routing_key": queue.name, "declare": [queue]}
