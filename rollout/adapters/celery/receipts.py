"""A worker's receipt: which messages of waiting jobs it has fetched and not begun.

Celery fetches ahead (four messages a process by default), and a broker such as RabbitMQ tells
nobody what its consumers hold. A job that waits its turn there would look lost. So the worker's
main process says so in the ledger: a second after the fetch, for what has not begun by then, and
again with each renewal for as long as it waits. A worker that dies falls silent here, too.
"""

from collections.abc import Mapping
from typing import Any

from celery import signals
from celery.worker import state

from rollout.adapters.celery.marks import job_id_of, path_of
from rollout.adapters.celery.renewal import Renewed
from rollout.errors import LedgerUnreachable
from rollout.log import log
from rollout.routing.decision import JobPath

SOON_S = 1.0
"""A fetched message that is not begun after this long has its first receipt."""


class Receipts:
    """Gives receipts; one for each consumer of a worker.

    Args:
        pipelines: By task name.
        timer: The consumer's.
    """

    def __init__(self, pipelines: Mapping[str, Renewed], timer: Any) -> None:
        self._pipelines = pipelines
        self._timer = timer
        self._due = False

    def listen(self) -> None:
        """Note each fetch from now on."""
        signals.task_received.connect(self._fetched, weak=False)

    def stop(self) -> None:
        """Note nothing more."""
        signals.task_received.disconnect(self._fetched)

    def _fetched(self, request: Any, **kwargs: Any) -> None:
        if not self._due and request.task.name in self._pipelines:
            self._due = True
            self._timer.call_after(SOON_S, self.give)

    def give(self) -> None:
        """Say what is fetched and not begun."""
        self._due = False
        begun = set(state.active_requests)
        fetched: dict[tuple[str, JobPath], list[str]] = {}
        for request in tuple(state.reserved_requests):
            if request in begun or request.task.name not in self._pipelines:
                continue
            name = self._pipelines[request.task.name].name
            path = path_of(name, (request.delivery_info or {}).get("routing_key"))
            if path is not None:
                job_id = job_id_of(request.request_dict, request.id)
                fetched.setdefault((request.task.name, path), []).append(job_id)
        for (task_name, path), job_ids in fetched.items():
            pipeline = self._pipelines[task_name]
            try:
                pipeline.ledger.note_fetched(pipeline.name, path, job_ids, pipeline.clock.now())
            except LedgerUnreachable as error:
                log.warning("fetched jobs not noted", jobs=len(job_ids), why=str(error))
