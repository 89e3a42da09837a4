"""The controller's side of the broker: stored envelopes are published as they are."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from kombu import Connection, Producer
from kombu.compression import get_encoder
from kombu.exceptions import ChannelError, OperationalError
from kombu.serialization import registry
from kombu.utils.json import object_hook

from rollout.adapters.celery.amqp_heads import AmqpHeads, NextUp
from rollout.adapters.celery.amqp_rights import is_right_missing, rights_missing
from rollout.adapters.celery.marks import (
    Marks,
    job_id_of,
    milliseconds,
    queue_of,
    read_marks,
    sent_at,
)
from rollout.adapters.celery.message import from_text
from rollout.adapters.celery.redis_figures import why_no_writes
from rollout.errors import BrokerUnreachable
from rollout.jobs.ports import Handed, Held
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.settings import without_password

CONNECT_TIMEOUT_S = 3
RETRY_S = 0.2
"""One that does not answer is tried once more after this; kombu would wait two seconds."""
_PATIENCE = {
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "socket_timeout": CONNECT_TIMEOUT_S,
    "max_retries": 0,
    # Of amqp. A RabbitMQ with an alarm reads nothing of who has published, not even the farewell
    # of a connection, whose answer the library would else wait for without end.
    "read_timeout": CONNECT_TIMEOUT_S,
    "write_timeout": CONNECT_TIMEOUT_S,
}
"""Over the app's own transport options: the controller and the command line wait no longer."""
HANDS_S = 600.0
"""A message that a worker took this long ago and has not started is not counted as in its hands.

On Redis what a killed worker had fetched comes back only after the visibility timeout, an hour by
default, and after another five minutes when kombu's own lock was in a dead process's hands. Ten
minutes are far beyond an ordinary wait behind the jobs that were fetched before; a worker that
does wait longer finds its message moved to legacy, which costs a message and no second commit.
"""
_ALARM_S = 0.5
"""A RabbitMQ whose memory is short says so in milliseconds."""
UNACKED_MAX = 20_000
"""Messages in workers' hands that are still looked at one by one; past that they are counted."""


class KombuQueues:
    """`jobs.ports.Queues` on any broker that kombu speaks; the user's code is not needed.

    A connection is opened for each call, because the callers (controller, CLI) call rarely and a
    kept one would have to survive restarts of the broker.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        options: Mapping[str, Any] | None = None,
        hands_s: float = HANDS_S,
    ) -> None:
        self._url = url
        self._clock = clock
        self._options = {**(options or {}), **_PATIENCE}
        self._hands_s = hands_s
        self._heads = AmqpHeads(clock)

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return without_password(self._url)

    def send_jobs(self, jobs: Sequence[Handed]) -> None:
        """Publish stored envelopes to the queues of their paths."""
        with self._channel() as channel:
            producer = Producer(channel, serializer="json")
            for job in jobs:
                if job.envelope:
                    _publish(producer, job, self._clock.now())
            if jobs:
                _hear_refusal(channel, queue_of(jobs[-1].name, jobs[-1].path))

    def held(self, name: str) -> Held:
        """Say what the queues and the workers hold.

        The queues are read before the workers' hands: a message on its way from one to the other
        is then seen at least once.
        """
        with self._channel() as channel:
            waiting = {path: _size(channel, queue_of(name, path)) for path in JobPath}
            speaks = channel.connection.client.transport.driver_type
            if speaks == "amqp":
                peeked = {
                    path: self._heads.next_up(channel, queue_of(name, path))
                    for path, messages in waiting.items()
                    if messages
                }
                empty = {path: None for path, messages in waiting.items() if not messages}
                known = {path: one for path, one in peeked.items() if one.job_id is not None}
                next_up = {path: one.job_id for path, one in known.items()}
                return Held(None, {**empty, **next_up}, waiting, _sent(known))
            if speaks != "redis":
                return Held(None, {}, waiting)
            heads = {path: _next_up(channel, queue_of(name, path)) for path in JobPath}
            if channel.client.hlen(channel.unacked_key) > UNACKED_MAX:
                return Held(None, {}, waiting)
            next_up = {path: one.job_id for path, one in heads.items()}
            return Held(frozenset(self._in_hands(channel)), next_up, waiting, _sent(heads))

    def _in_hands(self, channel: Any) -> Iterator[str]:
        """Job ids of messages that workers took lately; kombu dates them by the wall clock."""
        since = self._clock.now().timestamp() - self._hands_s
        tags = channel.client.zrange(channel.unacked_index_key, since, "+inf", byscore=True)
        pipe = channel.client.pipeline(transaction=False)
        for tag in tags:
            pipe.hget(channel.unacked_key, tag)
        for text in pipe.execute():
            if text is not None and (job_id := _id_of_unacked(text)):
                yield job_id

    def ping(self) -> None:
        """Ask the broker for an answer. Raises BrokerUnreachable."""
        with self._channel():
            pass

    def blocked_by(self) -> str | None:
        """Why the broker that answers takes no messages, with what to do; None when it does.

        RabbitMQ says so to whoever publishes while its memory or disk is short: it is asked with a
        message for a queue that nobody has, which it drops. Of a Redis its own figures tell, where
        this user may ask for them.

        Raises:
            BrokerUnreachable: It does not answer, or refuses.
        """
        with self._channel() as channel:
            speaks = channel.connection.client.transport.driver_type
            if speaks == "amqp":
                return _alarm(channel)
            return why_no_writes(channel.client) if speaks == "redis" else None

    def refused_to(self, names: Sequence[str]) -> Sequence[str]:
        """The rights that this user lacks for the jobs of these sub-pipelines, on RabbitMQ.

        Raises:
            BrokerUnreachable: It does not answer.
        """
        with self._channel() as channel:
            connection = channel.connection.client
            if connection.transport.driver_type != "amqp":
                return ()
            queues = [queue_of(name, path) for name in names for path in JobPath]
            return tuple(rights_missing(connection, queues))

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = self._connected()
        alarms: list[str] = []
        if connection.transport.driver_type == "amqp":
            connection.connection.on_blocked = alarms.append
        try:
            yield connection.default_channel
        except (OperationalError, OSError) as error:
            raise BrokerUnreachable(self.url, error) from error
        except Exception as error:
            if type(error).__module__.startswith(("redis.", "amqp.")):
                raise BrokerUnreachable(self.url, error) from error
            raise
        finally:
            if alarms:  # no answer to a farewell would come
                connection.collect()
            connection.release()

    def _connected(self) -> Connection:
        """A connection; whatever its transport says of address and options is a broker away."""
        try:
            connection = Connection(
                self._url, connect_timeout=CONNECT_TIMEOUT_S, transport_options=self._options
            )
            connection.ensure_connection(
                max_retries=1, interval_start=RETRY_S, timeout=CONNECT_TIMEOUT_S
            )
            _ = connection.default_channel
        except Exception as error:
            raise BrokerUnreachable(self.url, error) from error
        return connection


def _alarm(channel: Any) -> str | None:
    """What RabbitMQ says when it has stopped reading from those who publish."""
    heard: list[str] = []
    connection = channel.connection
    note = connection.on_blocked

    def blocked(why: str) -> None:
        heard.append(why)
        note(why)

    connection.on_blocked = blocked
    Producer(channel).publish("", routing_key=f"rollout.tried.{uuid4().hex}", exchange="")
    with suppress(TimeoutError):  # nothing was said
        connection.drain_events(timeout=_ALARM_S)
    if not heard:
        return None
    return (
        f"it takes no messages: {heard[0]}; free memory or disk there: `rabbitmqctl "
        "list_alarms` names the node"
    )


def _hear_refusal(channel: Any, queue: str) -> None:
    """Let RabbitMQ say that it has taken nothing: it answers no message, it closes the channel.

    Raises:
        AccessRefused: This user may not write to the default exchange.
    """
    if channel.connection.client.transport.driver_type != "amqp":
        return
    try:
        channel.queue_declare(queue, passive=True)
    except (ChannelError, TimeoutError) as error:
        if is_right_missing(error):
            raise
        # Nobody has declared it, and the messages are gone; or memory is short, and they are not
        # taken yet. The sweeper looks for both.


def _publish(producer: Producer, job: Handed, now: datetime) -> None:
    try:
        message = from_text(job.envelope)
    except (KeyError, TypeError, ValueError) as error:
        # One row must not keep a kill, or a tick, from all others.
        log.error(
            "what the ledger keeps of a job is no message, it cannot be sent",
            job=job.job_id, name=job.name, why=repr(error),
        )  # fmt: skip
        return
    task_id = message.headers.get("id", job.job_id)
    marks = read_marks(message.headers, task_id)
    again = Marks(
        key=marks.key if marks else job.job_id,
        path=job.path,
        reason=job.reason,
        revision=marks.revision if marks else -1,
        of=str(task_id),
        spent=marks.spent if marks else message.headers.get("retries", 0),
        at=marks.at if marks else None,
        sent=milliseconds(now),
    )
    # Of an older release's envelope it is not known how the broker was to keep it.
    how = {} if "delivery_mode" in message.properties else {"delivery_mode": 2}
    message = replace(message, encoding=_known_here(message.encoding))
    is_legacy = job.path is JobPath.LEGACY
    message = message.for_legacy(again) if is_legacy else message.marked(again)
    message.publish(producer, queue_of(job.name, job.path), **how)


def _known_here(encoding: Mapping[str, str]) -> Mapping[str, str]:
    """The encoding, but for what this process does not know.

    A serializer that the user's code registers, or a compression whose library is missing here: the
    job is sent as plain JSON then, which each of its workers reads (`options.check_made`).
    """
    return {part: name for part, name in encoding.items() if _KNOWS[part](name)}


def _compresses(name: str) -> bool:
    try:
        get_encoder(name)
    except KeyError:
        return False
    return True


_KNOWS: Mapping[str, Callable[[str], bool]] = {
    "serializer": lambda name: name in registry.name_to_type,
    "compression": _compresses,
}


def _sent(heads: Mapping[JobPath, NextUp]) -> dict[JobPath, datetime]:
    return {path: one.sent_at for path, one in heads.items() if one.sent_at is not None}


def _next_up(channel: Any, queue: str) -> NextUp:
    """The message that the next worker gets."""
    for priority in channel.priority_steps:
        # kombu puts the app's key prefix before the keys of the commands it uses; not of this one.
        key = f"{channel.global_keyprefix}{channel._q_for_pri(queue, priority)}"
        text = channel.client.lindex(key, -1)
        if text is not None:
            message = _read(text)
            headers = message.get("headers") if isinstance(message, dict) else None
            return NextUp(_id_of(message) or "", sent_at(headers))
    return NextUp(None)


def _read(text: str | bytes) -> Any:
    """What stands in a queue; None for what no Celery has put there, until a worker takes it."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _id_of(message: Any) -> str | None:
    headers = message.get("headers") if isinstance(message, dict) else None
    if not isinstance(headers, dict):
        return None
    task_id = headers.get("id")
    if isinstance(task_id, dict):
        with suppress(ValueError):  # of a kind that is not known here
            task_id = object_hook(task_id)  # an id that is no text, as kombu writes a UUID
    return job_id_of(headers, task_id) if isinstance(task_id, str | int | UUID) else None


def _id_of_unacked(text: str | bytes) -> str | None:
    taken = _read(text)  # message, exchange, routing key
    return _id_of(taken[0]) if isinstance(taken, list) and taken else None


def _size(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0  # nobody has declared the queue yet
