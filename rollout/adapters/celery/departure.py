"""One message of a declared task on its way out: decided, marked, filed, and sent or kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from celery.utils.time import maybe_iso8601, maybe_make_aware

from rollout.adapters.celery.amqp_refusals import why_not_taken
from rollout.adapters.celery.broker_errors import is_brokers
from rollout.adapters.celery.declaration import Routed
from rollout.adapters.celery.destination import aimed_at, asked_for, is_broadcast
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
from rollout.adapters.celery.message import Message, as_published, in_time, to_text
from rollout.errors import ArgumentsUnusable, DeclarationError
from rollout.jobs.ports import Filing
from rollout.jobs.submit import UNFILED
from rollout.log import log
from rollout.routing.decision import Decision, JobPath, Reason

OPTED_OUT = Decision(JobPath.LEGACY, Reason.OPTED_OUT, -1)
Published = tuple[Any, dict[str, Any]]
"""A body and the options of `Producer.publish`."""
REFUSED_SERIALIZERS = ("pickle", "application/x-python-serialize")
"""What is read back as code; rollout neither keeps nor sends it."""


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
        unfiled = replace(
            self.marks,
            path=UNFILED.path,
            reason=UNFILED.reason,
            revision=UNFILED.revision,
            drilled=False,
        )
        return self.message.for_legacy(unfiled)


class Departure:
    """One message of a declared task on its way out.

    Raises:
        KeyMissing, KeyUnusable: The job cannot be routed.
        ArgumentsUnusable: The caller asked for a serializer that rollout does not carry.
        DeclarationError: It is a message of protocol 1, or one for every worker.
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
        if is_broadcast(options):
            raise DeclarationError(
                f"a job of {pipeline.name!r} runs once, and a broadcast queue gives it to every "
                "worker",
                "send a task of its own there, which no SubPipeline has adopted",
            )
        self.pipeline = pipeline
        self.queues = queues
        self._given = message
        self._options = options
        self.body = body
        self._id = str(headers["id"])
        self._retries: int = headers["retries"]
        self._before = read_marks(options.get("headers"), self._id)
        self._key = _key(pipeline, self._id, tuple(body[0]), body[1])
        self.decision = self._decide()
        self._unfiled: Filing | None = None

    def _decide(self) -> Decision:
        if path_of(self.pipeline.name, asked_for(self._options)) is None:
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
            sent = send(leaving, name, self._given, **self._routed())
        except Exception as error:
            # A caller that is told of an error submits again, and the sweeper sends what is filed.
            if not leaving.filed or not is_brokers(error):
                raise
            why = why_not_taken(error)
            log.warning("broker does not take it, the sweeper will send it", job=self._id, why=why)
            return None
        if self._unfiled is not None:
            self.pipeline.submit.remember(self.pipeline.effects, [self._unfiled])
        return sent

    def capture(
        self, send: Callable[..., Any], producer: Any, name: str
    ) -> tuple[Prepared, Sequence[Published]]:
        """Take the finished message, and the events of it, instead of sending them."""
        taking = _Taking(producer)
        send(taking, name, self._given, **self._routed())
        (body, options), *events = taking.taken
        return self.prepare(body, options), events

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
            if not filed and self.decision is not OPTED_OUT:
                self._unfiled = prepared.filing
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
            options |= aimed_at(self._departure.queues[name], options)
        return self._producer.publish(body, **in_time(options))


class _Taking:
    """A producer that keeps what it is given: the message first, then what tells of it."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self.taken: list[Published] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, **options: Any) -> None:
        """Keep it."""
        self.taken.append((body, options))
