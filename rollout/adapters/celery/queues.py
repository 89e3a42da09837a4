"""The controller's side of the broker: stored envelopes are published as they are."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kombu import Connection, Producer
from kombu.exceptions import ChannelError, OperationalError
from kombu.utils.url import maybe_sanitize_url

from rollout.adapters.celery.marks import HEADER, Marks, queue_of, read_marks
from rollout.adapters.envelope import from_json
from rollout.core.decision import JobPath
from rollout.core.errors import BrokerUnreachable
from rollout.ports import Handed, Held

CONNECT_TIMEOUT_S = 3
UNACKED_MAX = 20_000
"""Messages in workers' hands that are still looked at one by one; past that they are counted."""


class KombuQueues:
    """`ports.Queues` on any broker that kombu speaks; the user's code is not needed.

    A connection is opened for each call, because the callers (controller, CLI) call rarely and a
    kept one would have to survive restarts of the broker.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return str(maybe_sanitize_url(self._url))

    def send_to_legacy(self, jobs: Sequence[Handed]) -> None:
        """Publish stored envelopes to their legacy queues."""
        with self._channel() as channel:
            producer = Producer(channel, serializer="json")
            for job in jobs:
                if job.envelope:
                    _publish(producer, job)

    def held(self, name: str) -> Held:
        """Say what the queues and the workers hold.

        The queues are read before the workers' hands: a message on its way from one to the other
        is then seen at least once.
        """
        with self._channel() as channel:
            waiting = sum(_size(channel, queue_of(name, path)) for path in JobPath)
            if channel.connection.client.transport.driver_type != "redis":
                return Held(None, {}, waiting)
            next_up = {path: _next_up(channel, queue_of(name, path)) for path in JobPath}
            if channel.client.hlen(channel.unacked_key) > UNACKED_MAX:
                return Held(None, {}, waiting)
            values = channel.client.hvals(channel.unacked_key)
            by_workers = frozenset(filter(None, map(_id_of_unacked, values)))
            return Held(by_workers, next_up, waiting)

    def ping(self) -> None:
        """Ask the broker for an answer. Raises BrokerUnreachable."""
        with self._channel():
            pass

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        options = {
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_timeout": CONNECT_TIMEOUT_S,
            "max_retries": 0,
        }
        try:
            with Connection(
                self._url, connect_timeout=CONNECT_TIMEOUT_S, transport_options=options
            ) as connection:
                connection.ensure_connection(max_retries=1, timeout=CONNECT_TIMEOUT_S)
                yield connection.default_channel
        except (OperationalError, OSError) as error:
            raise BrokerUnreachable(self.url, error) from error
        except Exception as error:
            if type(error).__module__.startswith(("redis.", "amqp.")):
                raise BrokerUnreachable(self.url, error) from error
            raise


def _publish(producer: Producer, job: Handed) -> None:
    envelope = from_json(job.envelope)
    headers = envelope["headers"]
    marks = read_marks(headers)
    headers[HEADER] = Marks(
        key=marks.key if marks else job.job_id,
        path=JobPath.LEGACY,
        reason=job.reason,
        revision=marks.revision if marks else -1,
        handed=True,
    ).header()
    # A limit meant for the concurrent path would kill the job on legacy, too.
    headers["timelimit"] = [None, None]
    producer.publish(
        envelope["body"],
        exchange="",
        routing_key=queue_of(job.name, JobPath.LEGACY),
        headers=headers,
        delivery_mode=2,
        **envelope["properties"],
    )


def _next_up(channel: Any, queue: str) -> str | None:
    """Job id of the message that the next worker gets; None when the queue is empty."""
    for priority in channel.priority_steps:
        text = channel.client.lindex(channel._q_for_pri(queue, priority), -1)
        if text is not None:
            return _id_of(json.loads(text)) or ""
    return None


def _id_of(message: Any) -> str | None:
    headers = message.get("headers") if isinstance(message, dict) else None
    return headers.get("id") if isinstance(headers, dict) else None


def _id_of_unacked(text: str | bytes) -> str | None:
    message, _exchange, _routing_key = json.loads(text)
    return _id_of(message)


def _size(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0  # nobody has declared the queue yet
