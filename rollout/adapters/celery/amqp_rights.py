"""Which rights on RabbitMQ a user lacks, asked so that nothing is made or taken.

RabbitMQ looks at the right before it looks at what is asked for. So a declaration and a consumer
with arguments that no queue can have are refused either way, and its words say whether the right is
there. A message for a queue that nobody has tries the exchange that all are sent through.

Source: https://www.rabbitmq.com/docs/access-control#authorisation.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from kombu import Connection, Producer
from kombu.exceptions import ChannelError

_IMPOSSIBLE_QUEUE = {"x-message-ttl": -1}
_IMPOSSIBLE_CONSUMER = {"x-priority": "none"}
_WRITTEN_S = 0.5
"""Nobody answers a message; a refusal of it comes in milliseconds."""


def rights_missing(connection: Connection, queues: Sequence[str]) -> Iterator[str]:
    """Say each right that the user of this connection lacks.

    Args:
        connection: To a RabbitMQ.
        queues: Names of queues, declared yet or not.
    """
    for right, what, names in (
        ("configure", _configure, queues),
        ("read", _read, queues),
        ("write", _write, ("amq.default",)),
    ):
        refused = [name for name in names if _is_refused(connection, what, name)]
        if refused:
            yield f"the right to {right} {', '.join(refused)}"


def is_right_missing(error: Exception) -> bool:
    """Whether RabbitMQ refuses for want of a right; told by the name, for amqp is not ours."""
    return type(error).__name__ == "AccessRefused"


def _is_refused(connection: Connection, what: Any, name: str) -> bool:
    # A channel for each, which a refusal closes. Who has published while memory is short would wait
    # for the answer to a farewell, so none is said: the connection ends soon.
    try:
        what(connection.channel(), name)
    except ChannelError as error:
        return is_right_missing(error)
    return False


def _configure(channel: Any, queue: str) -> None:
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=_IMPOSSIBLE_QUEUE)


def _read(channel: Any, queue: str) -> None:
    channel.basic_consume(queue, arguments=_IMPOSSIBLE_CONSUMER)


def _write(channel: Any, exchange: str) -> None:
    Producer(channel).publish("", routing_key=f"rollout.tried.{uuid4().hex}", exchange="")
    with suppress(TimeoutError):  # nothing was said
        channel.connection.drain_events(timeout=_WRITTEN_S)
