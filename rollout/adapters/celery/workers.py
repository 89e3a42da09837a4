"""Celery's workers, asked by its own remote control: who listens, and what runs.

Its client is spoken to by kombu alone: `import celery` takes 0.2 s, which a person at a shell would
wait for, and all that it would add is the name of the exchange.

Source: https://docs.celeryq.dev/en/stable/userguide/workers.html#remote-control
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from threading import Thread
from time import monotonic
from typing import Any

from kombu import Connection
from kombu.pidbox import Mailbox

from rollout.desk.workers import ActiveTask
from rollout.errors import BrokerUnreachable
from rollout.settings import without_password

ANSWER_S = 0.7
"""How long answers are collected: nobody knows how many workers there are. A worker answers in
milliseconds unless its machine is overloaded; one that does not is taken for absent."""

CONNECT_S = 3.0

_MAILBOX = Mailbox(
    "celery", type="fanout", accept=["json"], serializer="json", reply_queue_ttl=300.0
)
"""Celery's default `control_exchange`, and how its own client declares the queue of answers."""


Answers = Future[Mapping[str, Any]]
"""What each worker says, by its name."""


class CeleryWorkers:
    """`desk.workers.Workers` as `celery inspect` asks.

    Args:
        url: The broker.
        options: The app's `broker_transport_options`: they name keys and hosts.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self._url = url
        self._options = dict(options or {})

    def ask(self) -> "AskedWorkers":
        """Put both questions at once, each on a connection of its own: each takes `ANSWER_S`."""
        return AskedWorkers(self._url, self._asked("active_queues"), self._asked("active"))

    def _asked(self, question: str) -> Answers:
        answers: Answers = Future()
        Thread(target=self._ask, args=(question, answers), daemon=True).start()
        return answers

    def _ask(self, question: str, answers: Answers) -> None:
        try:
            connection = Connection(
                self._url, connect_timeout=CONNECT_S, transport_options=self._options
            )
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=CONNECT_S)
            replies = _MAILBOX(connection).multi_call(question, timeout=ANSWER_S)
        except Exception as error:  # whatever its transport says of address, options and answers
            answers.set_exception(BrokerUnreachable(without_password(self._url), error))
            return
        answers.set_result({worker: said for reply in replies for worker, said in reply.items()})
        # On Redis this waits up to a second for a last reply: nobody is kept waiting for it, and
        # a server that goes away meanwhile takes nothing with it.
        with suppress(Exception):
            connection.release()


class AskedWorkers:
    """`desk.workers.Asked`: both questions on their way."""

    def __init__(self, url: str, queues: Answers, active: Answers) -> None:
        self._url = url
        self._queues = queues
        self._active = active
        self._until = monotonic() + CONNECT_S + ANSWER_S

    def listeners(self) -> Mapping[str, Sequence[str]]:
        """Names of the workers that listen on each queue."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for worker, queues in sorted(self._said(self._queues).items()):
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
            for worker, tasks in sorted(self._said(self._active).items())
            for one in tasks
            if one.get("time_start")
        ]

    def _said(self, answers: Answers) -> Mapping[str, Any]:
        """Wait; a broker that takes connections and says nothing is away, too."""
        try:
            return answers.result(max(0.0, self._until - monotonic()))
        except TimeoutError as error:
            silent = TimeoutError(f"it said nothing for {CONNECT_S + ANSWER_S:g} s")
            raise BrokerUnreachable(without_password(self._url), silent) from error
