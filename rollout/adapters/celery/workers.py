"""Celery's workers, asked by its own remote control: who listens, and what runs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from rollout.desk.workers import ActiveTask
from rollout.errors import BrokerUnreachable
from rollout.settings import without_password

ANSWER_S = 0.7
"""How long answers are collected: nobody knows how many workers there are. A worker answers in
milliseconds unless its machine is overloaded; one that does not is taken for absent."""

CONNECT_S = 3.0


class CeleryWorkers:
    """`desk.workers.Workers` by `celery inspect`.

    Args:
        url: The broker.
        options: The app's `broker_transport_options`: they name keys and hosts.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self._url = url
        self._app = Celery("rollout-looks", broker=url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options=dict(options or {}),
            broker_connection_timeout=CONNECT_S,
            broker_connection_retry=False,
        )

    def listeners(self) -> Mapping[str, Sequence[str]]:
        """Names of the workers that listen on each queue."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for worker, queues in sorted(self._asked("active_queues").items()):
            for queue in queues:
                found[queue["name"]].append(worker)
        return dict(found)

    def active(self) -> Sequence[ActiveTask]:
        """What the workers' processes run now."""
        return [
            ActiveTask(
                worker,
                int(one.get("worker_pid") or 0),
                str(one["id"]),
                str((one.get("delivery_info") or {}).get("routing_key") or ""),
                datetime.fromtimestamp(float(one["time_start"]), UTC),
            )
            for worker, tasks in sorted(self._asked("active").items())
            for one in tasks
            if one.get("time_start")
        ]

    def close(self) -> None:
        """Close the connections."""
        self._app.close()

    def _asked(self, what: str) -> Mapping[str, Any]:
        try:
            with self._app.connection_for_read(connect_timeout=CONNECT_S) as connection:
                connection.ensure_connection(max_retries=1, timeout=CONNECT_S)
                inspect = self._app.control.inspect(timeout=ANSWER_S, connection=connection)
                return getattr(inspect, what)() or {}
        except (OperationalError, KombuError, OSError) as error:
            raise BrokerUnreachable(without_password(self._url), error) from error
        except Exception as error:
            if type(error).__module__.startswith(("redis.", "amqp.")):
                raise BrokerUnreachable(without_password(self._url), error) from error
            raise
