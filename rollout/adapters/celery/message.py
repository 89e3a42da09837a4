"""A whole Celery message: everything that Celery puts on one, so that it can be sent again.

Celery hands a message's parts to the broker in one call, `Producer.publish`. What is kept of a job
is what that call was given, after the caller's headers were merged and the signal
`before_task_publish` has added its own (a tenant, a trace). A message is sent again without that
signal: it would add what holds for the sender, not for the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.adapters.celery.marks import HEADER, Marks
from rollout.adapters.envelope import from_json, seal

HOW = frozenset(
    {
        "exchange",
        "routing_key",
        "declare",
        "retry",
        "retry_policy",
        "timeout",
        "confirm_timeout",
        "mandatory",
        "immediate",
    }
)
"""Arguments of `Producer.publish` that say how and where to send, and are no part of a message."""
TAKEN_S = 5.0
"""A broker has so long to take a message, at each of the app's tries.

RabbitMQ with an alarm reads nothing of who publishes, and a publisher that asks for confirmations
(`confirm_publish`) would wait for as long as that lasts, though the ledger has its job. Taken means
seconds for a large message on a slow link; an alarm lasts until somebody comes.
"""
OF_THE_TRANSPORT = frozenset(
    {
        "delivery_info",
        "delivery_tag",
        "body_encoding",
        "content_type",
        "content_encoding",
        "application_headers",
        "headers",
    }
)
"""Properties of a message that came which its transport wrote and writes anew."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as `Producer.publish` takes it.

    Attributes:
        headers: Celery's and the caller's.
        body: Arguments, keyword arguments, and what follows the job (links, chain, chord).
        properties: The other arguments of `publish`: priority, expiration, reply_to, ...
        encoding: Names of serializer and compression, where the caller has chosen one.
    """

    headers: Mapping[str, Any]
    body: Any
    properties: Mapping[str, Any]
    encoding: Mapping[str, str]

    def marked(self, marks: Marks, **headers: Any) -> "Message":
        """The same message with other marks, and other headers where some are given."""
        return replace(self, headers={**self.headers, **headers, HEADER: marks.header()})

    def for_legacy(self, marks: Marks) -> "Message":
        """The message as legacy gets it: with the retries that it has without rollout."""
        return self.marked(marks, retries=marks.spent)

    def publish(self, producer: Any, queue: str, **how: Any) -> None:
        """Send it to a queue by name."""
        producer.publish(
            self.body,
            exchange="",
            routing_key=queue,
            headers=dict(self.headers),
            **in_time(how),
            **{"serializer": "json", **self.encoding},
            **self.properties,
        )


def in_time(how: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Producer.publish` that bound its wait, where the caller has not."""
    bounds = {name: TAKEN_S for name in ("timeout", "confirm_timeout") if how.get(name) is None}
    return {**how, **bounds}


def to_text(name: str, message: Message, size_bytes_max: int) -> str:
    """The message as the ledger keeps it. Raises ArgumentsUnusable, PayloadTooLarge."""
    parts = {part: getattr(message, part) for part in ("headers", "properties", "encoding")}
    return seal(name, {**parts, "body": message.body}, size_bytes_max)


def from_text(envelope: str) -> Message:
    """Read it back; a release that kept no encoding sent JSON."""
    kept = from_json(envelope)
    return Message(kept["headers"], kept["body"], kept["properties"], kept.get("encoding", {}))


def as_published(body: Any, options: Mapping[str, Any]) -> Message:
    """The message of a call of `Producer.publish`."""
    encoding = {name: options[name] for name in ("serializer", "compression") if options.get(name)}
    properties = {
        name: value
        for name, value in options.items()
        if name not in HOW and name not in ("headers", "serializer", "compression")
    }
    return Message(options["headers"], body, properties, encoding)


def as_delivered(request: Any, app: Any) -> Message:
    """The message that a worker works on.

    Args:
        request: The request's context: Celery spreads a message's headers over it.
        app: Its app, which knows what this Celery puts on every message.
    """
    given = vars(request)
    headers = {name: given[name] for name in celery_headers(app) if name in given}
    custom = {name: value for name, value in (request.headers or {}).items() if name != HEADER}
    properties = {
        name: value
        for name, value in (request.properties or {}).items()
        if name not in OF_THE_TRANSPORT and value is not None
    }
    if "expiration" in properties:
        # A message that came has it in milliseconds, as text; `publish` takes seconds.
        properties["expiration"] = int(properties["expiration"]) / 1000
    encoding = {"compression": given["compression"]} if given.get("compression") else {}
    follows = {
        "callbacks": request.callbacks,
        "errbacks": request.errbacks,
        "chain": request.chain,
        "chord": request.chord,
    }
    body = [list(request.args or ()), dict(request.kwargs or {}), follows]
    return Message({**headers, **custom}, body, properties, encoding)


def celery_headers(app: Any) -> Mapping[str, Any]:
    """The headers that this Celery puts on every message."""
    headers: Mapping[str, Any] = app.amqp.as_task_v2("", "").headers
    return headers
