"""An app with one sub-pipeline, all of it in this process, and looks at what it sends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, signals
from kombu import Connection

from rollout.adapters.celery.marks import HEADER
from rollout.pipeline import SubPipeline
from rollout.wiring import build

URL = "memory://"
QUEUES = ("invoices.legacy", "invoices.concurrent", "celery", "billing")


@contextmanager
def app_in_memory(**options: Any) -> Iterator[Any]:
    """An app whose `bills` is a sub-pipeline; a handler puts a trace on each message.

    Args:
        options: Of the task.
    """
    with Connection(URL) as connection:  # kombu keeps what other tests have left
        for queue in QUEUES:
            connection.default_channel.queue_declare(queue)
            connection.default_channel.queue_purge(queue)
    made = Celery("shop", broker=URL, backend="cache+memory://", set_as_current=False)
    made.bills = SubPipeline(
        "invoices",
        app=made,
        effects="none",
        task_name="shop.bill",
        runtime=build(broker_url="memory:", control_url="memory:", ledger_url="memory:"),
        **options,
    )
    made.bills.legacy(lambda *args, **kwargs: args)
    made.bills.concurrent(lambda *args, **kwargs: args)
    traced: list[int] = []

    def trace(headers: Any, **_: Any) -> None:
        headers["traceparent"] = f"trace {len(traced)}"
        traced.append(1)

    signals.before_task_publish.connect(trace, weak=False)
    try:
        yield made
    finally:
        signals.before_task_publish.disconnect(trace)
        made.close()


def take(queue: str = "invoices.legacy") -> Any:
    """The next message of a queue."""
    message = waiting(queue)
    assert message is not None
    return message


def waiting(queue: str) -> Any:
    """The next message of a queue; None when it is empty."""
    with Connection(URL) as connection:
        return connection.default_channel.basic_get(queue, no_ack=True)


def fields(message: Any) -> dict[str, Any]:
    """All of a message; what its transport writes for each delivery is left out."""
    found = {f"header {name}": value for name, value in message.headers.items() if name != HEADER}
    found |= {
        f"property {name}": value
        for name, value in message.properties.items()
        if name not in ("delivery_tag", "delivery_info", "body_encoding")
    }
    return {**found, "body": json.loads(json.dumps(message.payload)), "type": message.content_type}
