"""What RabbitMQ refuses, as a sentence: what it has, what was asked for, what to do.

It closes the channel (or the whole connection) with a line of its own, and Celery ends its worker
with a traceback on it, or reconnects once a second for ever.

Source: https://www.rabbitmq.com/docs/queues#property-equivalence,
https://www.rabbitmq.com/docs/quorum-queues#global-qos,
https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout.
"""

import re
from collections.abc import Callable
from typing import Any

from rollout.errors import BrokerRefuses, why_of
from rollout.log import log

_DIFFERS = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)' in "
    r"vhost '(?P<vhost>[^']*)': received (?P<asked>.+?) but current is (?P<there>.+)$"
)
_NO_GLOBAL = re.compile(r"queue '(?P<name>[^']+)' in vhost '[^']*' does not support global qos")
_TOO_LATE = re.compile(r"delivery acknowledgement on channel \d+ timed out\D*(?P<ms>\d+) ms")
_RIGHT = re.compile(
    r"access to (?P<kind>queue|exchange) '(?P<name>[^']+)' in vhost '(?P<vhost>[^']*)' refused for "
    r"user '(?P<user>[^']*)'"
)
_VALUE = re.compile(r"(?:the value )?'(?P<value>[^']*)'")


def explained(error: BaseException) -> BrokerRefuses | None:
    """The sentence of a refusal of RabbitMQ's; None for whatever else it says."""
    words = " ".join(str(error).split())
    for pattern, sentence in _SENTENCES:
        if (match := pattern.search(words)) is not None:
            return sentence(match)
    return None


def _differs(match: re.Match[str]) -> BrokerRefuses:
    kind, name, argument = match["kind"], match["name"], match["argument"]
    there, asked = _valued(argument, match["there"]), _valued(argument, match["asked"])
    if kind == "exchange":
        todo = f"give the app's queues the exchange type that it has, or delete exchange {name!r}"
    else:
        todo = (
            "name it in the app's task_queues (producers and workers alike) with every argument "
            f"that it has: Queue({name!r}, Exchange({name!r}), {name!r}, queue_arguments={{...}}); "
            "or delete it once it is empty, and set its limits by a policy"
        )
    return BrokerRefuses(
        f"{kind} {name!r} was declared {there}, and this app asks for it {asked}", todo
    )


def _valued(argument: str, said: str) -> str:
    value = _VALUE.search(said)
    return f"without {argument}" if value is None else f"with {argument} = {value['value']}"


def _no_global(match: re.Match[str]) -> BrokerRefuses:
    name = match["name"]
    return BrokerRefuses(
        f"{name!r} is a quorum queue (of its virtual host's default, or declared by somebody), and "
        "this app knows of none, so Celery asks for a prefetch that quorum queues do not have",
        'set task_default_queue_type = "quorum", or name the queue in task_queues with '
        'queue_arguments={"x-queue-type": "quorum"}',
    )


def _too_late(match: re.Match[str]) -> BrokerRefuses:
    seconds = int(match["ms"]) / 1000
    return BrokerRefuses(
        f"a message was not acknowledged within RabbitMQ's consumer_timeout ({seconds:g} s), so it "
        "took back all that this worker had: a job ran, or an eta waited here, for longer",
        "raise consumer_timeout in rabbitmq.conf above the longest job and the longest eta; "
        "broker_channel_error_retry = True lets the worker go on instead of ending",
    )


def _right(match: re.Match[str]) -> BrokerRefuses:
    kind, name = match["kind"], match["name"]
    return BrokerRefuses(
        f"user {match['user']!r} has not the right that is needed on {kind} {name!r}",
        "grant what docs/plants.md lists (rabbitmqctl set_permissions)",
    )


_SENTENCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], BrokerRefuses]], ...] = (
    (_DIFFERS, _differs),
    (_NO_GLOBAL, _no_global),
    (_TOO_LATE, _too_late),
    (_RIGHT, _right),
)


def why_not_taken(error: BaseException) -> str:
    """Why a broker took no message, as one line for a log."""
    said = why_of(error)
    return str(explained(error) or said or "it has not taken it in time")


def told_in(loop: Callable[..., Any]) -> Callable[..., Any]:
    """A worker's loop that says what a refusal means before Celery deals with it as it does."""

    def telling(*args: Any, **kwargs: Any) -> Any:
        try:
            return loop(*args, **kwargs)
        except Exception as error:
            if (told := explained(error)) is not None:
                log.error("RabbitMQ refuses", why=told.problem, todo=told.hint)
            raise

    return telling
