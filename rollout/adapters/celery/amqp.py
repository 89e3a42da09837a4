"""The door: every message of a declared task passes here before it leaves the process.

Celery's `send_task_message` is the one function that delay, apply_async, send_task, canvas, beat
and retries all end in, and the only one that holds the whole message. A `task_routes` function
would see neither chain nor chord, and a signal's exceptions are swallowed (decision 0003).

The path is decided before that function runs, and the job is filed inside it, when it hands the
finished message to the broker: what is kept of a job is then what was sent, field by field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Protocol, cast

import structlog
from celery.app.amqp import AMQP
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.exceptions import OperationalError

from rollout.adapters.celery.marks import (
    HEADER,
    Marks,
    current_job,
    job_id_of,
    milliseconds,
    path_of,
    queue_of,
    read_marks,
)
from rollout.adapters.celery.message import Message, as_published, to_text
from rollout.adapters.celery.own_queues import OwnQueues
from rollout.adapters.celery.shadow_queue import shadow_queue_of
from rollout.errors import ArgumentsUnusable, DeclarationError
from rollout.jobs.ports import Filing
from rollout.jobs.submit import UNFILED, Submit
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.effects import Effects

log = structlog.get_logger("rollout")

OPTED_OUT = Decision(JobPath.LEGACY, Reason.OPTED_OUT, -1)
PIPELINES = "rollout_pipelines"
"""Name under which an app holds what is declared on it."""
REFUSED_SERIALIZERS = ("pickle", "application/x-python-serialize")
"""What is read back as code; rollout neither keeps nor sends it."""


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


class RoutedAMQP(AMQP):
    """An app's AMQP with the door in it."""

    @cached_property
    def send_plainly(self) -> Callable[..., Any]:
        """Celery's own way out, without the door."""
        sender: Callable[..., Any] = super()._create_task_sender()
        return sender

    @cached_property
    def queues_cls(self) -> Callable[..., Any]:
        """Makes the app's queues; ours are among them."""
        return partial(OwnQueues, lambda: own_queues(self.app))

    def Router(self, queues: Any = None, create_missing: Any = None) -> Any:
        """Route declared tasks first, whatever `task_routes` says of their names."""
        router = super().Router(queues, create_missing)
        router.routes = [_LegacyByDefault(self.app), *router.routes]
        return router

    def _create_task_sender(self) -> Callable[..., Any]:
        send = self.send_plainly
        app, queues = self.app, self.queues

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            pipeline = pipelines_of(app).get(name)
            if pipeline is None:
                return send(producer, name, message, **options)
            departure = Departure(pipeline, message, options, queues)
            return departure.send(send, producer, name)

        return send_task_message


def door_into(base: type) -> type:
    """The class that an app with this AMQP class gets; Celery's own is made once, for pickling."""
    if base is AMQP:
        return RoutedAMQP
    return base if issubclass(base, RoutedAMQP) else type(base.__name__, (RoutedAMQP, base), {})


def pipelines_of(app: Any) -> dict[str, Any]:
    """What is declared on this app, by task name."""
    by_name: dict[str, Any] = app.__dict__.get(PIPELINES, {})
    return by_name


def own_queues(app: Any) -> set[str]:
    """Names of the queues of what is declared on this app."""
    names = [pipeline.name for pipeline in pipelines_of(app).values()]
    return {queue_of(name, path) for name in names for path in JobPath} | {
        shadow_queue_of(name) for name in names
    }


class _LegacyByDefault:
    """Routes declared tasks to legacy when the caller names no queue: in doubt, legacy."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> dict[str, str] | None:
        pipeline = pipelines_of(self._app).get(name)
        return None if pipeline is None else {"queue": queue_of(pipeline.name, JobPath.LEGACY)}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished message with its decision and what the ledger is to hold; not yet filed."""

    message: Message
    filing: Filing
    decision: Decision
    marks: Marks

    def marked(self, *, filed: bool) -> Message:
        """The message as it leaves; an unfiled job goes to legacy."""
        if filed or self.decision is OPTED_OUT:
            return _at(self.message.marked(self.marks), self.marks)
        unfiled = Marks(
            self.marks.key,
            UNFILED.path,
            UNFILED.reason,
            UNFILED.revision,
            of=self.marks.of,
            spent=self.marks.spent,
            at=self.marks.at,
        )
        return self.message.for_legacy(unfiled)


class Departure:
    """One message of a declared task on its way out.

    Raises:
        KeyMissing, KeyUnusable: The job cannot be routed.
        ArgumentsUnusable: The caller asked for a serializer that rollout does not carry.
    """

    def __init__(self, pipeline: Any, message: Any, options: dict[str, Any], queues: Any) -> None:
        headers, _, body, _ = message
        if "id" not in headers:
            raise DeclarationError(
                f"{pipeline.name!r} needs Celery's message protocol 2, got task_protocol = 1",
                "leave task_protocol out; 2 is Celery's default since 4.0",
            )
        if options.get("serializer") in REFUSED_SERIALIZERS:
            refused = ValueError(f"serializer={options['serializer']!r}")
            raise ArgumentsUnusable(pipeline.name, "the arguments", refused)
        self.pipeline = pipeline
        self.queues = queues
        self._given = message
        self._options = options
        self.body = body
        self._id: str = headers["id"]
        self._retries: int = headers["retries"]
        self._before = read_marks(options.get("headers"), self._id)
        self._key = _key(pipeline, self._id, tuple(body[0]), body[1])
        self.decision = self._decide()

    def _decide(self) -> Decision:
        queue = getattr(self._options.get("queue"), "name", self._options.get("queue"))
        if path_of(self.pipeline.name, queue) is None:
            return OPTED_OUT
        before = self._before
        if before and before.path == JobPath.LEGACY and before.decision.reason.means.final:
            # A retry decides again, except that a job which fell back stays on legacy for good.
            return before.decision
        decided: Decision = self.pipeline.submit.decide(self.pipeline.name, self._key)
        return decided

    def send(self, send: Callable[..., Any], producer: Any, name: str) -> Any:
        """Send the message, and file its job when it is complete."""
        leaving = _Leaving(producer, self)
        try:
            return send(leaving, name, self._given, **self._routed())
        except OperationalError as error:
            if not leaving.filed:
                raise
            log.warning("broker away, the sweeper will send it", job=self._id, why=str(error))
            return None

    def capture(self, send: Callable[..., Any], producer: Any, name: str) -> Prepared:
        """Take the finished message instead of sending it."""
        taken = _Taken(producer)
        send(taken, name, self._given, **self._routed())
        return self.prepare(taken.body, taken.options)

    def _routed(self) -> dict[str, Any]:
        if self.decision is OPTED_OUT:
            return self._options
        headers = {**(self._options.get("headers") or {})}
        headers.pop(HEADER, None)  # marks are put on when the job is filed
        queue = self.queues[queue_of(self.pipeline.name, self.decision.path)]
        return {**self._options, "queue": queue, "headers": headers}

    def prepare(self, body: Any, published: Mapping[str, Any]) -> Prepared:
        """What there is to file and to send of a finished message. Raises PayloadTooLarge."""
        message, decision = as_published(body, published), self.decision
        now = self.pipeline.submit.now()
        marks = Marks(
            self._key,
            decision.path,
            decision.reason,
            decision.revision,
            decision.drilled,
            of=self._id,
            spent=self._spent(),
            at=milliseconds(now),
        )
        return Prepared(message, self._filing(message, marks, now), decision, marks)

    def _spent(self) -> int:
        """Retries that legacy has used by now."""
        running = current_job.get(None)
        if self._before is None or running is None or running.path is JobPath.LEGACY:
            return self._retries
        return self._before.spent

    def _filing(self, message: Message, marks: Marks, now: datetime) -> Filing:
        pipeline, decision = self.pipeline, self.decision
        return Filing(
            job_id=job_id_of(message.headers, self._id),
            name=pipeline.name,
            key=self._key,
            path=decision.path,
            reason=decision.reason,
            revision=decision.revision,
            envelope=to_text(pipeline.name, message.for_legacy(marks), pipeline.payload_bytes_max),
            at=now,
            not_before=_due(pipeline, message.headers.get("eta")),
        )

    def file(self, body: Any, published: Mapping[str, Any]) -> tuple[Message, JobPath | None, bool]:
        """File the job of a finished message.

        Returns:
            The message as it leaves, the path whose queue it takes (None: the caller's queue), and
            whether the ledger is known to hold it, so that a broker that is away loses nothing.

        Raises:
            StaleAttempt: A retry of an attempt that has lost its job; nothing is sent.
            AlreadyFinished: A job of this id has its outcome; nothing is sent.
        """
        prepared = self.prepare(body, published)
        pipeline, running = self.pipeline, current_job.get(None)
        mine = (pipeline.name, prepared.filing.job_id)
        if self._retries and running is not None and (running.name, running.job_id) == mine:
            filed = pipeline.submit.release(prepared.filing, running.attempt)
        else:
            filed = pipeline.submit.file(
                pipeline.name,
                pipeline.effects,
                pipeline.holdback_bp,
                [prepared.filing],
                outcome_will_do=prepared.message.headers.get("parent_id") is not None,
                on_failure=None if self.decision is OPTED_OUT else pipeline.on_failure,
            )
        message = prepared.marked(filed=filed)
        if prepared.decision is OPTED_OUT:
            return message, None, filed
        return message, prepared.decision.path if filed else UNFILED.path, filed


def _at(message: Message, marks: Marks) -> Message:
    """On legacy a job has the retries that it has without rollout."""
    return message.for_legacy(marks) if marks.path == JobPath.LEGACY else message


def _key(pipeline: Any, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    try:
        return str(pipeline.key_of(job_id, args, kwargs))
    except TypeError:
        # Wrong arguments fail in the worker, as they do without rollout (Celery checks them before
        # only when the task is called as an object); such a job is routed by its id.
        return job_id


def _due(pipeline: Routed, eta: Any) -> datetime | None:
    """When a job may start; without a zone it is UTC, as Celery's worker takes it."""
    if not eta:
        return None
    read = maybe_iso8601(eta)
    return cast(datetime, maybe_make_aware(read, pipeline.app.timezone))


class _Leaving:
    """A producer that files the job before it publishes its message."""

    def __init__(self, producer: Any, departure: Departure) -> None:
        self._producer = producer
        self._departure = departure
        self._made: tuple[Message, JobPath | None, bool] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    @property
    def filed(self) -> bool:
        """Whether the ledger is known to hold the job."""
        return self._made is not None and self._made[2]

    def publish(self, body: Any, **options: Any) -> Any:
        """Publish; Celery may call this again while the broker is away.

        What is not the message of the job, the event `task-sent`, passes as it is.
        """
        if body is not self._departure.body:
            return self._producer.publish(body, **options)
        if self._made is None:
            self._made = self._departure.file(body, options)
        message, path, _ = self._made
        options["headers"] = dict(message.headers)
        if path is not None:
            name = queue_of(self._departure.pipeline.name, path)
            if options["routing_key"] != name:
                queue = self._departure.queues[name]
                options |= {"exchange": "", "routing_key": name, "declare": [queue]}
        return self._producer.publish(body, **options)


class _Taken:
    """A producer that keeps what it is given."""

    body: Any
    options: Mapping[str, Any]

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, **options: Any) -> None:
        """Keep the message."""
        self.body, self.options = body, options
