"""The door: every message of a declared task passes here before it leaves the process.

Celery's `send_task_message` is the one function that delay, apply_async, send_task, canvas, beat
and retries all end in, and the only one that holds the whole message. A `task_routes` function
would see neither chain nor chord, and a signal's exceptions are swallowed (decision 0003).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

import structlog
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.exceptions import OperationalError

from rollout.adapters.celery.marks import (
    HEADER,
    Marks,
    current_job,
    milliseconds,
    path_of,
    queue_of,
    read_marks,
)
from rollout.adapters.envelope import seal
from rollout.jobs.ports import Filing
from rollout.jobs.submit import UNFILED, Submit
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.effects import Effects

log = structlog.get_logger("rollout")

OPTED_OUT = Decision(JobPath.LEGACY, Reason.OPTED_OUT, -1)


class Routed(Protocol):
    """The declared sub-pipeline, as far as the door needs it."""

    name: str
    app: Any
    effects: Effects
    holdback_bp: int

    @property
    def payload_bytes_max(self) -> int:
        """Largest envelope in bytes."""
        ...

    @property
    def submit(self) -> Submit:
        """The submission service of this process."""
        ...

    def key_of(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Routing key of a job. Raises KeyMissing, KeyUnusable, TypeError for wrong arguments."""
        ...


def routed_amqp(base: type, pipelines: Mapping[str, Routed]) -> type:
    """Make the app's AMQP class with the door in it; `pipelines` is by task name."""

    class RoutedAMQP(base):
        def Router(self, queues: Any = None, create_missing: Any = None) -> Any:
            router = super().Router(queues, create_missing)
            router.routes = [_LegacyByDefault(pipelines), *router.routes]
            return router

        def _create_task_sender(self) -> Callable[..., Any]:
            send = super()._create_task_sender()
            queues = self.queues

            def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
                pipeline = pipelines.get(name)
                if pipeline is None:
                    return send(producer, name, message, **options)
                path, marks, filed = admit(pipeline, message, options)
                if path is not None:
                    options["queue"] = queues[queue_of(pipeline.name, path)]
                options["headers"] = {**(options.get("headers") or {}), HEADER: marks.header()}
                try:
                    return send(producer, name, message, **options)
                except OperationalError as error:
                    if not filed:
                        raise
                    log.warning("broker away, the sweeper will send it", why=str(error))
                    return None

            return send_task_message

    return RoutedAMQP


class _LegacyByDefault:
    """Routes declared tasks to legacy when the caller names no queue: in doubt, legacy."""

    def __init__(self, pipelines: Mapping[str, Routed]) -> None:
        self._pipelines = pipelines

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> dict[str, str] | None:
        pipeline = self._pipelines.get(name)
        return None if pipeline is None else {"queue": queue_of(pipeline.name, JobPath.LEGACY)}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message that has its decision and its filing, and has not left yet."""

    filing: Filing
    decision: Decision
    retries: int

    @property
    def opted_out(self) -> bool:
        """Whether the caller named a queue that is not ours."""
        return self.decision is OPTED_OUT

    def marks(self, *, filed: bool, handed: bool = False) -> Marks:
        """What the message carries; an unfiled job goes to legacy."""
        decision = self.decision if filed or self.opted_out else UNFILED
        return Marks(
            self.filing.key,
            decision.path,
            decision.reason,
            decision.revision,
            handed,
            decision.drilled,
            milliseconds(self.filing.at),
        )


def prepare(pipeline: Routed, message: Any, options: Mapping[str, Any]) -> Prepared:
    """Decide where a message goes and write its envelope; nothing is stored or sent.

    Raises:
        KeyMissing, KeyUnusable, ArgumentsUnusable, PayloadTooLarge, TypeError: The job cannot be
        submitted.
    """
    headers, _, body, _ = message
    args, kwargs, _ = body
    key = pipeline.key_of(headers["id"], tuple(args), kwargs)
    queue = getattr(options.get("queue"), "name", options.get("queue"))
    if path_of(pipeline.name, queue) is None:
        decision = OPTED_OUT
    else:
        decision = _decide(pipeline, key, read_marks(options.get("headers")))
    filing = _filing(pipeline, decision, key, message, options.get("priority"))
    return Prepared(filing, decision, headers["retries"])


def admit(
    pipeline: Routed, message: Any, options: Mapping[str, Any]
) -> tuple[JobPath | None, Marks, bool]:
    """Decide where a message goes and file its job.

    Returns:
        The path whose queue it takes (None leaves the caller's queue), the marks it carries, and
        whether the ledger is known to hold it, so that a broker that is away loses nothing. Of a
        handed message only its sender knows that.

    Raises:
        StaleAttempt: A retry of an attempt that has lost its job; nothing is sent.
        AlreadyFinished: A job of this id has its outcome; nothing is sent.
    """
    marks = read_marks(options.get("headers"))
    if marks is not None and marks.handed:
        return None, marks, False
    prepared = prepare(pipeline, message, options)
    running = current_job.get(None)
    mine = (pipeline.name, prepared.filing.job_id)
    if prepared.retries and running is not None and (running.name, running.job_id) == mine:
        filed = pipeline.submit.release(prepared.filing, running.attempt)
    else:
        filed = pipeline.submit.file(
            pipeline.name,
            pipeline.effects,
            pipeline.holdback_bp,
            [prepared.filing],
            outcome_will_do=message[0].get("parent_id") is not None,
        )
    marks = prepared.marks(filed=filed)
    return None if prepared.opted_out else JobPath(marks.path), marks, filed


def _decide(pipeline: Routed, key: str, marks: Marks | None) -> Decision:
    """A retry decides again, except that a job which fell back stays on legacy for good."""
    if marks is not None and marks.path == JobPath.LEGACY and marks.decision.reason.means.final:
        return marks.decision
    return pipeline.submit.decide(pipeline.name, key)


def _filing(
    pipeline: Routed, decision: Decision, key: str, message: Any, priority: int | None
) -> Filing:
    headers, properties, body, _ = message
    now = pipeline.submit.now()
    marks = Marks(key, decision.path, decision.reason, decision.revision, at=milliseconds(now))
    carried = {**headers, HEADER: marks.header()}
    kept = properties if priority is None else {**properties, "priority": priority}
    return Filing(
        job_id=headers["id"],
        name=pipeline.name,
        key=key,
        path=decision.path,
        reason=decision.reason,
        revision=decision.revision,
        envelope=seal(pipeline.name, carried, body, kept, pipeline.payload_bytes_max),
        at=now,
        not_before=_due(pipeline, headers.get("eta")),
    )


def _due(pipeline: Routed, eta: Any) -> datetime | None:
    """When a job may start; without a zone it is UTC, as Celery's worker takes it."""
    if not eta:
        return None
    read = maybe_iso8601(eta)
    return cast(datetime, maybe_make_aware(read, pipeline.app.timezone))
