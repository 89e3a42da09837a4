"""The shadow queue at the broker, from a legacy worker: bounded in time, whatever the broker does.

It has a connection of its own, with short timeouts and no retries: the worker's own connection
waits as long as its owner configured, which may be for ever. A call that fails closes it.
"""

from collections.abc import Callable, Mapping
from os import getpid
from threading import Lock
from typing import Any
from uuid import uuid4

from kombu import Connection, Producer
from kombu.exceptions import ChannelError, KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

from rollout.errors import BrokerUnreachable

TIMEOUT_S = 0.2
"""Longest wait for a connection, and for each answer."""
SUFFIX = "shadow"


def shadow_queue_of(name: str) -> str:
    """Name of a sub-pipeline's shadow queue."""
    return f"{name}.{SUFFIX}"


def shadow_task_of(task_name: str) -> str:
    """Name of the task that runs a sub-pipeline's shadows."""
    return f"{task_name}.{SUFFIX}"


class KombuShadowQueue:
    """`shadow.ports.ShadowQueue` on any broker that kombu speaks.

    Args:
        connect: Makes a connection from transport options; called anew after each failure.
        task_name: The sub-pipeline's Celery task.
    """

    def __init__(self, connect: Callable[[dict[str, Any]], Any], task_name: str = "") -> None:
        self._connect = connect
        self._task_name = task_name
        self._held: Any = None
        self._pid = 0
        self._lock = Lock()

    @classmethod
    def of_app(cls, app: Any, task_name: str) -> "KombuShadowQueue":
        """The queue at the app's own broker, with the app's own transport options."""

        def connect(options: dict[str, Any]) -> Any:
            return app.connection_for_write(connect_timeout=TIMEOUT_S, transport_options=options)

        return cls(connect, task_name)

    @classmethod
    def of_url(cls, url: str) -> "KombuShadowQueue":
        """The queue at a broker's address, for looking."""

        def connect(options: dict[str, Any]) -> Any:
            return Connection(url, connect_timeout=TIMEOUT_S, transport_options=options)

        return cls(connect)

    def publish(self, name: str, copy: Mapping[str, Any], limit_s: float) -> None:
        """Send a copy, to be killed after `limit_s` of running. Raises BrokerUnreachable."""
        run_id = f"shadow-{uuid4()}"
        headers = {
            "lang": "py",
            "task": shadow_task_of(self._task_name),
            "id": run_id,
            "root_id": run_id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "eta": None,
            "expires": None,
            "timelimit": [limit_s, None],
            "ignore_result": True,
            "argsrepr": "()",
            "kwargsrepr": "{}",
        }
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

        def send(channel: Any) -> None:
            Producer(channel, serializer="json").publish(
                [[], {"copy": dict(copy)}, embed],
                exchange="",
                routing_key=shadow_queue_of(name),
                headers=headers,
                correlation_id=run_id,
                delivery_mode=1,  # a copy that a broken broker forgets is no loss
            )

        self._on_channel(send)

    def backlog(self, name: str) -> int:
        """Count copies that wait. Raises BrokerUnreachable."""

        def count(channel: Any) -> int:
            try:
                return int(channel.queue_declare(shadow_queue_of(name), passive=True).message_count)
            except ChannelError:
                return 0  # no shadow worker has declared it yet

        return int(self._on_channel(count))

    def close(self) -> None:
        """Close the connection of this process."""
        if self._held is not None and self._pid == getpid():
            self._held.release()
        self._held = None

    def _on_channel(self, act: Callable[[Any], Any]) -> Any:
        # Threads of one worker take turns; whoever cannot have a turn soon does without.
        if not self._lock.acquire(timeout=TIMEOUT_S):
            raise BrokerUnreachable("(shadow queue)", TimeoutError("another thread waits for it"))
        try:
            return act(self._channel())
        except Exception as error:
            self._drop()
            if isinstance(error, KombuError | OSError | ChannelError) or _is_drivers(error):
                raise BrokerUnreachable("(shadow queue)", error) from error
            raise
        finally:
            self._lock.release()

    def _channel(self) -> Any:
        if self._held is None or self._pid != getpid():
            # A forked child leaves its parent's connection alone.
            self._held, self._pid = self._connect(_impatient()), getpid()
        channel = self._held.default_channel
        client = getattr(channel, "client", None)
        if client is not None and hasattr(client, "set_retry"):
            # redis-py would repeat a command ten times, waiting longer each time.
            client.set_retry(Retry(NoBackoff(), 0))
        return channel

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            try:
                held.release()
            except Exception as error:
                if not (isinstance(error, KombuError | OSError) or _is_drivers(error)):
                    raise


def _impatient() -> dict[str, Any]:
    return {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "read_timeout": TIMEOUT_S,
        "write_timeout": TIMEOUT_S,
        "max_retries": 0,
    }


def _is_drivers(error: Exception) -> bool:
    return type(error).__module__.startswith(("redis.", "amqp."))
