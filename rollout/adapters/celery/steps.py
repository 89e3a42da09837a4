"""Rollout in a worker's main process: claims are renewed, foreign messages are kept."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from celery import bootsteps, signals
from celery.worker import state
from kombu.utils.encoding import safe_repr

from rollout.adapters.celery.amqp_refusals import told_in
from rollout.adapters.celery.builds import Announcer
from rollout.adapters.celery.deliveries import job_of
from rollout.adapters.celery.guard import guard_restarts
from rollout.adapters.celery.marks import job_id_of, path_of
from rollout.adapters.celery.outcomes import send_to_legacy
from rollout.adapters.celery.receipts import Receipts
from rollout.adapters.celery.renewal import Renewals, lives, starts_of
from rollout.errors import LedgerUnreachable, UnknownJob
from rollout.jobs.attempt import Attempts
from rollout.jobs.claims import JobState
from rollout.jobs.delivery import Paths, ToLegacy
from rollout.jobs.ports import JobLedger
from rollout.jobs.resource_calls import ResourceCalls
from rollout.jobs.resources import Need
from rollout.log import log
from rollout.pilot.ports import Builds
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason

KEPT_BYTES_MAX = 20_000
_STOP_PAUSE_S = 0.1


class Worked(Paths, Protocol):
    """A sub-pipeline, as far as the worker's main process needs it."""

    @property
    def attempts(self) -> Attempts:
        """The attempt service of this process."""
        ...

    builds: Mapping[JobPath, str]

    @property
    def stop_after_s(self) -> float:
        """Seconds a stopping worker gives its running jobs."""
        ...

    @property
    def ledger(self) -> JobLedger:
        """The ledger of this process."""
        ...

    @property
    def build_ledger(self) -> Builds:
        """The ledger, as far as builds are announced to it."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def silent_after_s(self) -> float:
        """Seconds without renewal after which a job's worker counts as dead."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """What a job takes of resources."""
        ...

    @property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for what was given back."""
        ...

    def check(self) -> None:
        """Raise DeclarationError for what cannot work here."""
        ...


def worker_step(pipelines: Mapping[str, Worked]) -> type:
    """Make the bootstep of one app; `pipelines` is by task name."""

    announcer = Announcer(pipelines)  # of the process: a step starts anew at every reconnect

    class RolloutStep(bootsteps.StartStopStep):
        """Renews claims of running jobs and keeps refused messages."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Any, **kwargs: Any) -> None:
            super().__init__(consumer, **kwargs)
            self._timer: Any = None
            self._receipts: Receipts | None = None
            self._renewals = Renewals(pipelines)
            self._renewals.while_reconnecting(consumer)
            consumer.loop = told_in(consumer.loop)
            self._receivers: list[tuple[Any, Callable[..., None]]] = []

        def start(self, consumer: Any) -> None:
            for pipeline in pipelines.values():
                pipeline.check()
            guard_restarts()

            receipts = self._receipts = Receipts(pipelines, consumer.timer)
            receipts.listen()

            def renew_and_tell() -> None:
                self._renewals.now()
                receipts.give()
                announcer.tell()

            self._timer = consumer.timer.call_repeatedly(self._renewals.pause_s, renew_and_tell)
            announcer.consumes(list(consumer.app.amqp.queues.consume_from))
            self._keep_refused(consumer)

        def stop(self, consumer: Any) -> None:
            # A lost connection also comes here; only SIGTERM and ctrl-C set `should_stop`.
            if state.should_stop is not None and state.should_stop is not False:
                finish_or_hand_back(pipelines, self._renewals)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._receipts is not None:
                self._receipts.stop()
                self._receipts = None
            for signal, receiver in self._receivers:
                signal.disconnect(receiver)
            self._receivers.clear()

        def _keep_refused(self, consumer: Any) -> None:
            def unknown(message: Any, name: str, **kwargs: Any) -> None:
                keep(pipelines, message, f"no task named {name!r} is registered here")

            def rejected(message: Any, exc: Any = None, **kwargs: Any) -> None:
                keep(pipelines, message, str(exc) if exc else "not a task message")

            def revoked(sender: Any, request: Any, expired: bool, **kwargs: Any) -> None:
                if sender.name in pipelines:
                    call_off(pipelines[sender.name], request, expired=expired)

            for signal, receiver in (
                (signals.task_unknown, unknown),
                (signals.task_rejected, rejected),
                (signals.task_revoked, revoked),
            ):
                signal.connect(receiver, weak=False)
                self._receivers.append((signal, receiver))

            def kept_decode_error(message: Any, exc: Exception) -> None:
                keep(pipelines, message, f"cannot be decoded: {exc}")
                type(consumer).on_decode_error(consumer, message, exc)

            consumer.on_decode_error = kept_decode_error

    return RolloutStep


def finish_or_hand_back(pipelines: Mapping[str, Worked], renewals: Renewals) -> None:
    """Give running jobs the time that is left, send the rest to legacy, wait for unsafe ones.

    Without this a job cut off by a deploy would wait for the sweeper to find its worker silent. An
    unsafe job goes to nobody else: it is renewed for as long as it runs, because Celery's pool
    waits for it, too, and nobody would hear of it there.
    """
    handed: set[Any] = set()
    deadline_s: float | None = None
    while running := [one for one in _running(pipelines) if one not in handed]:
        clock = pipelines[running[0].task.name].clock
        if deadline_s is None:
            stop_after_s = max(pipelines[one.task.name].stop_after_s for one in running)
            deadline_s = clock.monotonic() + stop_after_s
        if clock.monotonic() >= deadline_s:
            for request in running:
                if pipelines[request.task.name].effects.repeatable:
                    _hand_back(pipelines[request.task.name], request)
                    handed.add(request)
                elif not _is_started(pipelines[request.task.name], _job_id(request)):
                    handed.add(request)  # the ledger is away: nobody can say how far it is
        if state.should_terminate is not None and state.should_terminate is not False:
            return
        renewals.if_due()
        clock.sleep(_STOP_PAUSE_S)


def _running(pipelines: Mapping[str, Worked]) -> list[Any]:
    """Requests whose job is not over; the pool's answers are not read while the worker stops."""
    return [
        one
        for one in tuple(state.active_requests)
        if one.task.name in pipelines
        and lives(one)
        and _is_started(pipelines[one.task.name], _job_id(one)) is not False
    ]


def _is_started(pipeline: Worked, job_id: str) -> bool | None:
    """Whether the ledger says that the job runs; None when it says nothing."""
    try:
        return pipeline.ledger.job(pipeline.name, job_id).state is JobState.STARTED
    except (LedgerUnreachable, UnknownJob):
        return None


def _hand_back(pipeline: Worked, request: Any) -> None:
    context = request._context
    job = job_of(request.task.rollout, context)
    workers = [start.worker for start in starts_of(pipeline.name, request)]
    outcome = None if job is None else pipeline.attempts.hand_back(pipeline, job, workers)
    if isinstance(outcome, ToLegacy):
        if pipeline.needs:
            pipeline.resource_calls.given_back(pipeline.needs)
        log.warning("handed back, the worker stops", job=request.id)
        send_to_legacy(request.task, context, outcome.reason, recorded=outcome.recorded)


def keep(pipelines: Mapping[str, Worked], message: Any, why: str) -> None:
    """Keep a refused message of one of our queues in the ledger, for a look."""
    queue = (message.delivery_info or {}).get("routing_key") or ""
    for pipeline in pipelines.values():
        if path_of(pipeline.name, queue) is None:
            continue
        headers = safe_repr(message.headers)[:KEPT_BYTES_MAX]
        body = safe_repr(message.body)[:KEPT_BYTES_MAX]
        try:
            pipeline.ledger.keep_message(queue, why, headers, body, pipeline.clock.now())
        except LedgerUnreachable as error:
            # Not the body: it has the job's arguments. The message itself is refused by Celery.
            log.error("refused message not kept", queue=queue, length=len(body), why=str(error))
        return


def _job_id(request: Any) -> str:
    return job_id_of(request.request_dict, request.id)


def call_off(pipeline: Worked, request: Any, *, expired: bool) -> None:
    """Record the outcome of a job that was revoked or has expired: Celery discards it.

    A leftover of a job that has moved on, or that another worker runs, is nobody's outcome.

    Args:
        pipeline: The job's sub-pipeline.
        request: Celery's request, or the context of one that was running.
        expired: Its time was over before it started.
    """
    queue = (request.delivery_info or {}).get("routing_key")
    given = request.request_dict if hasattr(request, "request_dict") else vars(request)
    job_id = job_id_of(given, request.id)
    state = JobState.EXPIRED if expired else JobState.CANCELLED
    try:
        record = pipeline.ledger.job(pipeline.name, job_id)
        waits_here = record.state is JobState.ACCEPTED and (
            record.path is path_of(pipeline.name, queue) or record.reason is Reason.OPTED_OUT
        )
        runs_here = record.state is JobState.STARTED and (record.worker or "").startswith(
            f"{request.hostname}:"
        )
        if waits_here or runs_here:
            sentence = "its time was over" if expired else "it was revoked"
            now = pipeline.clock.now()
            pipeline.ledger.call_off(
                pipeline.name, job_id, record.attempt, state, sentence, now, nonce=record.nonce
            )
            if pipeline.needs:
                pipeline.resource_calls.given_back(pipeline.needs)
    except UnknownJob:
        log.info("discarded job is not filed", job=job_id, state=str(state))
    except LedgerUnreachable as error:
        log.error("outcome not recorded", job=job_id, why=str(error))
