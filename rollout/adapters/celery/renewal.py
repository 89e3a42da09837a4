"""The worker's main process says that its running jobs live: by a timer, and when none can fire.

Celery's timer stands still while the worker stops, and while it looks for a broker that is away.
Jobs run on meanwhile, and one that nobody hears of is taken for dead: an unsafe one is then kept as
failed though it finishes. So whoever waits there renews in its pauses. There is no thread for it: a
fork would freeze it (docs/architecture.md, what is absent).
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from celery.worker import state

from rollout.adapters.celery.deliveries import worker_of
from rollout.adapters.celery.marks import job_id_of, path_of
from rollout.errors import LedgerUnreachable
from rollout.jobs.ports import JobLedger, Running
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath


class Renewed(Protocol):
    """A sub-pipeline, as far as its claims are renewed."""

    name: str

    @property
    def ledger(self) -> JobLedger:
        """The ledger of this process."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def silent_after_s(self) -> float:
        """Seconds without renewal after which a job's worker counts as dead."""
        ...


class Renewals:
    """Renews three times within the time after which a worker counts as dead."""

    def __init__(self, pipelines: Mapping[str, Renewed]) -> None:
        self._pipelines = pipelines
        self._last_s: float | None = None

    @property
    def pause_s(self) -> float:
        """Seconds between two renewals."""
        return min(pipeline.silent_after_s for pipeline in self._pipelines.values()) / 3

    def now(self) -> None:
        """Renew."""
        self._last_s = self._clock.monotonic()
        renew(self._pipelines)

    def if_due(self) -> None:
        """Renew when the last time is long enough ago."""
        if self._last_s is None or self._clock.monotonic() - self._last_s >= self.pause_s:
            self.now()

    def while_reconnecting(self, consumer: Any) -> None:
        """Renew in the pauses of a consumer that tries to reach its broker again."""
        connect = consumer.ensure_connected

        def ensure_connected(connection: Any) -> Any:
            ensure = connection.ensure_connection

            def ensure_connection(
                errback: Any = None, max_retries: Any = None, callback: Any = None, **options: Any
            ) -> Any:
                def pause() -> None:
                    self.if_due()
                    if callback is not None:
                        callback()

                return ensure(errback, max_retries, callback=pause, **options)

            connection.ensure_connection = ensure_connection
            return connect(connection)

        consumer.ensure_connected = ensure_connected

    @property
    def _clock(self) -> Clock:
        return next(iter(self._pipelines.values())).clock


def renew(pipelines: Mapping[str, Renewed]) -> None:
    """Say that this worker lives, for each job it runs."""
    running: dict[str, list[Running]] = {}
    for request in tuple(state.active_requests):
        if request.task.name in pipelines and lives(request):
            name = pipelines[request.task.name].name
            running.setdefault(request.task.name, []).extend(starts_of(name, request))
    for task_name, starts in running.items():
        pipeline = pipelines[task_name]
        try:
            pipeline.ledger.renew(starts, pipeline.clock.now())
        except LedgerUnreachable as error:
            log.warning("claims not renewed", jobs=len(starts), why=str(error))


def starts_of(name: str, request: Any) -> list[Running]:
    """What a request that runs may have written into its job's row.

    A pool of processes names the child; of others the row names this process, whatever number the
    pool gives its threads or greenlets.
    """
    queue = (request.delivery_info or {}).get("routing_key")
    path = path_of(name, queue) or JobPath.LEGACY  # a queue of the caller's choice runs legacy
    pids = {os.getpid(), request.worker_pid} - {None}
    job_id = job_id_of(request.request_dict, request.id)
    return [Running(name, job_id, worker_of(request, pid), path) for pid in sorted(pids)]


def lives(request: Any) -> bool:
    """Whether the child that runs a request has not ended; a child is looked at, not reaped."""
    pid = request.worker_pid
    look: Callable[..., Any] | None = getattr(os, "waitid", None)
    if pid is None or pid == os.getpid() or look is None:
        return True
    try:
        return look(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except OSError:  # no process of ours: a greenlet's number, or a child that was reaped
        return not _is_prefork(request)


def _is_prefork(request: Any) -> bool:
    return bool(request.task.app.conf.worker_pool == "prefork")
