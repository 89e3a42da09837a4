"""The Celery task of a sub-pipeline: carries out what `jobs.attempt` says of a delivery.

It stands before the task's own class: Celery calls `__call__` here, and that calls the user's own
`__call__` (or `run`) for the path. What a body says to Celery (retry, ignore, reject, replace) is
passed on to Celery.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from billiard import current_process
from celery import Task, states
from celery._state import _task_stack
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from rollout.adapters.celery.amqp import Routed
from rollout.adapters.celery.ending import ends_the_run
from rollout.adapters.celery.marks import (
    HEADER,
    Marks,
    current_job,
    is_drilled,
    job_id_of,
    milliseconds,
    path_of,
    queue_of,
    read_marks,
    submitted_at,
)
from rollout.adapters.celery.message import Message, as_delivered, to_text
from rollout.adapters.celery.path_runs import DeliveredRun, DirectRun
from rollout.adapters.celery.unusable import kept_if_unusable
from rollout.errors import JobFailed, LedgerUnreachable
from rollout.jobs.attempt import Attempts
from rollout.jobs.claims import Refusal
from rollout.jobs.delivery import (
    Delivery,
    Done,
    Dropped,
    Failed,
    Outcome,
    PathRun,
    Paths,
    ToLegacy,
    Wait,
)
from rollout.jobs.interrupts import ProcessEnds
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.order import OnFailure
from rollout.jobs.ports import Filing, Job, JobLedger
from rollout.jobs.resource_calls import ResourceCalls
from rollout.jobs.resources import Need
from rollout.log import log
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.shadow.publish import Copied, Ran, ShadowPublisher

FORGETS: tuple[type[BaseException], ...] = (Ignore, Reject)
PASSES: tuple[type[BaseException], ...] = (*FORGETS, Retry)
COPY_S_MAX = 2.0
"""No copy is sent when the job's time limit is nearer than this."""
LEDGER_WAIT_S = 1.0
"""Pause before a job that needs the ledger goes back to its queue, so that it does not spin."""


def is_sent_back(error: BaseException) -> bool:
    """Whether a path gave its message back to the queue, to be run again."""
    return isinstance(error, Reject) and bool(error.requeue)


class Declared(Routed, Paths, Copied, Protocol):
    """The declared sub-pipeline, as far as the task needs it."""

    @property
    def attempts(self) -> Attempts:
        """The attempt service of this process."""
        ...

    @property
    def ledger(self) -> JobLedger:
        """The ledger of this process."""
        ...

    @property
    def on_failure(self) -> OnFailure | None:
        """What a failed job does with those of its key; None where no order is kept."""
        ...

    @property
    def key_order(self) -> KeyOrder:
        """Sends the next job of a key."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """What a job takes of resources."""
        ...

    @property
    def resource_calls(self) -> ResourceCalls:
        """Calls jobs that wait for what was given back."""
        ...

    @property
    def shadow_publisher(self) -> ShadowPublisher:
        """Sends copies of this process's legacy jobs."""
        ...

    def run_here(
        self,
        job_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        paths: Paths | None = None,
        on_fallback: Callable[[], None] = ...,
        again: tuple[type[BaseException], ...] = ...,
    ) -> Any:
        """Take a job its whole way in this process."""
        ...


if TYPE_CHECKING:
    from celery import Task as Theirs
else:
    Theirs = object


class SubPipelineTask(Theirs):
    """Runs one delivery on the path of the queue it came by."""

    pipeline: Declared
    # A message is acknowledged when its outcome is recorded, so a dead worker loses none.
    acks_late = True
    # Rollout's own request class decides about lost workers; Celery's own requeueing would send
    # the job to the same path again.
    reject_on_worker_lost = False
    retry_on_worker_lost = False
    serializer = "json"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run a delivery, or the whole way when called directly or eagerly."""
        request = self.request
        if request.called_directly:
            return self.pipeline.run_here("", args, kwargs, DirectRun(self))
        if request.is_eager:
            return self._eagerly(request, args, kwargs)
        with kept_if_unusable(self.pipeline, request, self.pipeline.submit.now):
            job = self.job_of(request)
        if job is None:
            with kept_if_unusable(self.pipeline, request, self.pipeline.submit.now):
                return self._route_late(request)

        def filing() -> Filing:
            with kept_if_unusable(self.pipeline, request, self.pipeline.submit.now):
                return self._filing(request, job)

        delivery = Delivery(
            job,
            self.worker_of(request),
            filing,
            is_drilled(vars(request)),
            is_pool_child(),
            self.pipeline.on_failure,
            self.pipeline.needs,
        )
        began, run = time.monotonic(), DeliveredRun(self, request)
        outcome: Outcome | None = None
        try:
            outcome = self.pipeline.attempts.run(run, delivery)
        except ProcessEnds as ends:
            raise ends.asked from None
        except SoftTimeLimitExceeded:
            # It struck beside the path, in an act of ours: the row says how far that came.
            outcome = self._after_its_limit(run, delivery)
        finally:
            # Also when the path tells Celery to forget its job; who died is swept for.
            if delivery.on_failure is not None:
                self.pipeline.key_order.send_next(job.name, job.key)
            if delivery.needs and outcome != Dropped(Refusal.TAKEN):
                self.pipeline.resource_calls.given_back(delivery.needs)
        request.rollout_ran = self._to_copy(request, job, outcome), began
        return self.carry_out(request, outcome)

    def _after_its_limit(self, run: DeliveredRun, delivery: Delivery) -> Outcome:
        attempts = self.pipeline.attempts
        try:
            return attempts.worker_lost(run, delivery.job, delivery.worker, Reason.TIME_LIMIT)
        except LedgerUnreachable as error:
            return Wait(error)

    # The body ------------------------------------------------------------------------------

    def run_body(self, job: Job) -> Any:
        """Run the job's path as Celery would: by the class's own `__call__`, or by `run`."""
        token = current_job.set(job)
        try:
            if _calls_itself(type(self)):
                return super().__call__(*job.args, **job.kwargs)
            return self.run(*job.args, **job.kwargs)
        except BaseException as error:
            if ends_the_run(error):
                raise ProcessEnds(error) from error
            raise
        finally:
            current_job.reset(token)

    def run_directly(self, path: JobPath, job: Job) -> Any:
        """Run a path outside of any delivery, with a request as a direct call has it."""
        _task_stack.push(self)
        self.push_request(args=job.args, kwargs=job.kwargs)
        try:
            return self.run_body(replace(job, path=path))
        finally:
            self.pop_request()
            _task_stack.pop()

    def _eagerly(self, request: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        def start_anew() -> None:
            request.retries = 0  # legacy has the retries that it has without rollout

        job_id = job_id_of(vars(request), request.id)
        run = DeliveredRun(self, request)
        return self.pipeline.run_here(job_id, args, kwargs, run, start_anew, (Retry,))

    # A copy of it --------------------------------------------------------------------------

    def _to_copy(self, request: Any, job: Job, outcome: Outcome) -> PathRun | None:
        """The run that a copy may be made of: committed on legacy, as routing chose."""
        queue = (request.delivery_info or {}).get("routing_key")
        on_legacy = queue == queue_of(self.pipeline.name, JobPath.LEGACY)
        if not on_legacy or not isinstance(outcome, Done) or not self.pipeline.effects.shadowable:
            return None
        return outcome.ran

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Offer the job for a shadow: its result is stored by now, and its links are sent."""
        super().after_return(status, retval, task_id, args, kwargs, einfo)
        if status != states.SUCCESS:
            return
        ran, began = getattr(self.request, "rollout_ran", (None, 0.0))
        if ran is None:
            return
        self.pipeline.shadow_publisher.offer(
            self.pipeline,
            Ran(job_id_of(vars(self.request), task_id), ran.value, ran.seconds),
            lambda: self._is_near_limit(began),
        )

    def _is_near_limit(self, began: float) -> bool:
        """Whether the job's own time limit could strike while a copy is sent."""
        limits = self.request.timelimit or (None, None)
        given = [*limits, self.time_limit, self.soft_time_limit]
        spent_s = time.monotonic() - began
        return any(limit is not None and spent_s + COPY_S_MAX > limit for limit in given)

    # What came -----------------------------------------------------------------------------

    def job_of(self, request: Any) -> Job | None:
        """Read the job of a delivery; None for one that no decision was made on.

        The marks are hidden from the body: a caller who forwards `request.headers` sends another
        job. A retry gets them back in `signature_from_request`.
        """
        marks = read_marks(vars(request), request.id)
        if request.headers and HEADER in request.headers:
            kept = {name: value for name, value in request.headers.items() if name != HEADER}
            request.headers = kept or None
        queue = (request.delivery_info or {}).get("routing_key")
        path = path_of(self.pipeline.name, queue)
        if path is None:
            if marks is None:
                return None
            path = JobPath.LEGACY  # the caller chose this queue: opted out, legacy runs in place
        args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
        job_id = job_id_of(vars(request), request.id)
        key = marks.key if marks else self._key_of(job_id, args, kwargs)
        return Job(job_id, self.pipeline.name, key, path, 0, args, kwargs)

    def _key_of(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        try:
            return self.pipeline.key_of(job_id, args, kwargs)
        except TypeError:
            return job_id  # wrong arguments fail when the path is called, as without rollout

    def signature_from_request(
        self,
        request: Any = None,
        args: Any = None,
        kwargs: Any = None,
        queue: Any = None,
        **options: Any,
    ) -> Any:
        """Celery's own way to a retry; the job's marks go along."""
        request = self.request if request is None else request
        marks = read_marks(vars(request), request.id)
        if marks is not None:
            headers = options.get("headers", request.headers) or {}
            options["headers"] = {**headers, HEADER: marks.header()}
        return super().signature_from_request(request, args, kwargs, queue, **options)

    @staticmethod
    def worker_of(request: Any, pid: int | None = None) -> str:
        """Name of the process that runs the job."""
        return f"{request.hostname}:{pid or os.getpid()}"

    def _route_late(self, request: Any) -> Any:
        """Route a message from a producer that knows nothing of rollout, now that it is here."""
        args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
        job_id = job_id_of(vars(request), request.id)
        key = self._key_of(job_id, args, kwargs)
        decision = self.pipeline.submit.decide(self.pipeline.name, key)
        job = Job(job_id, self.pipeline.name, key, decision.path, 0, args, kwargs)
        self.pipeline.submit.file(
            self.pipeline.name,
            self.pipeline.effects,
            self.pipeline.holdback_bp,
            [self._filing(request, job, decision)],
            outcome_will_do=True,  # nobody waits here for an error
            on_failure=self.pipeline.on_failure,
        )
        self._send(request, key, decision)
        raise Ignore

    def _filing(self, request: Any, job: Job, decision: Decision | None = None) -> Filing:
        """File a delivery that the ledger does not hold."""
        marks = read_marks(vars(request), request.id)
        made = decision or (marks.decision if marks else Decision(job.path, Reason.UNFILED, -1))
        at = submitted_at(marks, self.pipeline.submit.now())
        message = self._message_for(request, job.key, replace(made, path=job.path))
        size = self.pipeline.payload_bytes_max
        return Filing(
            job_id=job.job_id,
            name=job.name,
            key=job.key,
            path=job.path,
            reason=made.reason,
            revision=made.revision,
            envelope=to_text(job.name, message, size),
            at=at,
        )

    def _message_for(self, request: Any, key: str, decision: Decision) -> Message:
        """This delivery's message, as legacy would get it."""
        given = read_marks(vars(request), request.id)
        spent = given.spent if given else request.retries
        marks = Marks(
            key,
            decision.path,
            decision.reason,
            decision.revision,
            of=request.id,
            spent=spent,
            at=milliseconds(submitted_at(given, self.pipeline.submit.now())),
        )
        return as_delivered(request, self.app).for_legacy(marks)

    # What becomes of it --------------------------------------------------------------------

    def carry_out(self, request: Any, outcome: Outcome) -> Any:
        """Return, raise or send what the outcome says."""
        match outcome:
            case Done(value, duplicate):
                if duplicate and self._told(request, value):
                    raise Ignore
                return value
            case ToLegacy(reason, recorded):
                self.send_to_legacy(request, reason, recorded=recorded)
                raise Ignore
            case Dropped(Refusal.FORGOTTEN):
                self._keep(request, "older than what is pruned, and its job is not there: not run")
                raise Ignore
            case Dropped():
                raise Ignore
            case Failed(error):
                # SystemExit out of a path would take the worker's process along.
                raise JobFailed(request.id, repr(error)) if isinstance(error, SystemExit) else error
            case Wait(error):
                log.warning("job waits for the ledger", job=request.id, why=str(error))
                time.sleep(LEDGER_WAIT_S)
                raise Reject(str(error), requeue=True)

    def _keep(self, request: Any, why: str) -> None:
        """Keep a message that is not run, for a look. Raises LedgerUnreachable."""
        job = self.job_of(request)
        assert job is not None, "what was delivered to a path has a job"
        filing = self._filing(request, job)
        queue = queue_of(job.name, job.path)
        now = self.pipeline.submit.now()
        self.pipeline.ledger.keep_message(queue, why, "{}", filing.envelope, now)

    def _told(self, request: Any, value: Any) -> bool:
        """Whether the result backend has the outcome already: then links were called, too.

        A chord counts its job after the result is stored, so there the result says nothing. A
        backend has one result per id: that of another sub-pipeline's job is not this one's.
        """
        # Where nobody knows, it is told again: links called twice are Celery's own promise.
        if request.chord:
            return False
        if request.ignore_result:
            return not (request.chain or request.callbacks)
        try:
            found = self.AsyncResult(request.id)
            return found.state in states.READY_STATES and found.result == value
        except Exception as error:  # a result backend that is away must not lose the outcome
            log.warning("result backend did not answer", why=str(error))
            return False

    def send_to_legacy(self, request: Any, reason: Reason, *, recorded: bool) -> None:
        """Send this same job to legacy, with everything that travelled with its message.

        With the broker away a job that the ledger has moved is left to the sweeper; any other
        goes back to its queue, because this message is all there is of it.
        """
        marks = read_marks(vars(request), request.id)
        key = marks.key if marks else request.id
        decision = Decision(JobPath.LEGACY, reason, marks.revision if marks else -1)
        try:
            self._send(request, key, decision)
        except OperationalError as error:
            if not recorded:
                raise Reject(str(error), requeue=True) from error
            log.warning("broker away, the sweeper will send it", job=request.id, why=str(error))

    def _send(self, request: Any, key: str, decision: Decision) -> None:
        queue = queue_of(self.pipeline.name, decision.path)
        message, conf = self._message_for(request, key, decision), self.app.conf
        with (
            self.app.producer_or_acquire() as producer,
            producer.connection._reraise_as_library_errors(),
        ):
            message.publish(
                producer,
                queue,
                declare=[self.app.amqp.queues[queue]],
                retry=conf.task_publish_retry,
                retry_policy=conf.task_publish_retry_policy,
            )


def is_pool_child() -> bool:
    """Whether this process is one of a prefork pool's children, which the pool replaces."""
    return bool(current_process().name != "MainProcess")


def _calls_itself(made: type) -> bool:
    """Whether the task's own class has a `__call__`, such as Flask's recipe."""
    behind = made.__mro__[made.__mro__.index(SubPipelineTask) + 1 :]
    for base in behind:
        if base is Task:
            return False
        if "__call__" in vars(base):
            return True
    return False
