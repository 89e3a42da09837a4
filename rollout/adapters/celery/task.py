"""The Celery task of a sub-pipeline: carries out what `jobs.attempt` says of a delivery."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog
from billiard import current_process
from celery import Task, states
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError

from rollout.adapters.celery.amqp import Routed
from rollout.adapters.celery.marks import (
    HEADER,
    Marks,
    current_job,
    is_drilled,
    milliseconds,
    path_of,
    queue_of,
    read_marks,
    submitted_at,
)
from rollout.adapters.envelope import seal
from rollout.errors import JobFailed
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
from rollout.jobs.ports import Filing, Job, Ledger
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.shadow.publish import Copied, Ran, ShadowPublisher

log = structlog.get_logger("rollout")

FORGETS: tuple[type[BaseException], ...] = (Ignore, Reject)
PASSES: tuple[type[BaseException], ...] = (*FORGETS, Retry)
COPY_S_MAX = 2.0
"""No copy is sent when the job's time limit is nearer than this."""
LEDGER_WAIT_S = 1.0
"""Pause before a job that needs the ledger goes back to its queue, so that it does not spin."""


class Declared(Routed, Paths, Copied, Protocol):
    """The declared sub-pipeline, as far as the task needs it."""

    @property
    def attempts(self) -> Attempts:
        """The attempt service of this process."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The ledger of this process."""
        ...

    @property
    def shadow_publisher(self) -> ShadowPublisher:
        """Sends copies of this process's legacy jobs."""
        ...

    def run_job(self, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Take a job its whole way in this process."""
        ...


class SubPipelineTask(Task):
    """Runs one delivery on the path of the queue it came by."""

    abstract = True
    pipeline: Declared
    # A message is acknowledged when its outcome is recorded, so a dead worker loses none.
    acks_late = True
    # Rollout's own request class decides about lost workers; Celery's own requeueing would send
    # the job to the same path again.
    reject_on_worker_lost = False
    retry_on_worker_lost = False
    serializer = "json"
    Request = "rollout.adapters.celery.request:SubPipelineRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run a delivery, or the whole way when called directly or eagerly."""
        request = self.request
        if request.called_directly:
            return self.pipeline.run_job("", args, kwargs)
        if request.is_eager:
            return self.pipeline.run_job(request.id, args, kwargs)
        job = self.job_of(request)
        if job is None:
            return self._route_late(request)
        delivery = Delivery(
            job,
            self.worker_of(request),
            lambda: self._filing(request, job),
            is_drilled(request.headers),
            is_pool_child(),
        )
        began = time.monotonic()
        try:
            outcome = self.pipeline.attempts.run(_Runnable(self), delivery)
        except FORGETS as gone:
            raise Ignore from gone  # its outcome is recorded
        request.rollout_ran = self._to_copy(request, job, outcome), began
        return self.carry_out(request, outcome)

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
        if status != states.SUCCESS:
            return
        ran, began = getattr(self.request, "rollout_ran", (None, 0.0))
        if ran is None:
            return
        self.pipeline.shadow_publisher.offer(
            self.pipeline,
            Ran(task_id, ran.value, ran.seconds),
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
        """Read the job of a delivery; None for one that no decision was made on."""
        marks = read_marks(request.headers)
        if marks is not None:
            # A retry takes these headers along, and has to pass the door like a new message.
            request.headers[HEADER] = replace(marks, handed=False).header()
        queue = (request.delivery_info or {}).get("routing_key")
        path = path_of(self.pipeline.name, queue)
        if path is None:
            if marks is None:
                return None
            path = JobPath.LEGACY  # the caller chose this queue: opted out, legacy runs in place
        args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
        key = marks.key if marks else self.pipeline.key_of(request.id, args, kwargs)
        return Job(request.id, self.pipeline.name, key, path, 0, args, kwargs)

    @staticmethod
    def worker_of(request: Any, pid: int | None = None) -> str:
        """Name of the process that runs the job."""
        return f"{request.hostname}:{pid or os.getpid()}"

    def _route_late(self, request: Any) -> Any:
        """Route a message from a producer that knows nothing of rollout, now that it is here."""
        args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
        key = self.pipeline.key_of(request.id, args, kwargs)
        decision = self.pipeline.submit.decide(self.pipeline.name, key)
        job = Job(request.id, self.pipeline.name, key, decision.path, 0, args, kwargs)
        self.pipeline.submit.file(
            self.pipeline.name,
            self.pipeline.effects,
            self.pipeline.holdback_bp,
            [self._filing(request, job, decision)],
            outcome_will_do=True,  # nobody waits here for an error
        )
        self._send(request, key, decision)
        raise Ignore

    def _filing(self, request: Any, job: Job, decision: Decision | None = None) -> Filing:
        """File a delivery that the ledger does not hold."""
        marks = read_marks(request.headers)
        made = decision or (marks.decision if marks else Decision(job.path, Reason.UNFILED, -1))
        at = submitted_at(marks, self.pipeline.submit.now())
        mark = Marks(job.key, job.path, made.reason, made.revision, at=milliseconds(at))
        options = request.as_execution_options()
        headers = {
            "lang": "py",
            "task": self.name,
            "id": request.id,
            "retries": request.retries,
            "root_id": request.root_id,
            "parent_id": request.parent_id,
            "group": request.group,
            "group_index": request.group_index,
            "timelimit": list(request.timelimit or (None, None)),
            "origin": request.origin,
            "ignore_result": request.ignore_result,
            HEADER: mark.header(),
        }
        embed = {
            "callbacks": options["link"],
            "errbacks": options["link_error"],
            "chain": options["chain"],
            "chord": options["chord"],
        }
        properties = {"correlation_id": request.correlation_id, "reply_to": request.reply_to or ""}
        body = [list(job.args), dict(job.kwargs), embed]
        return Filing(
            job_id=job.job_id,
            name=job.name,
            key=job.key,
            path=job.path,
            reason=made.reason,
            revision=made.revision,
            envelope=seal(job.name, headers, body, properties, self.pipeline.payload_bytes_max),
            at=at,
        )

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

        A backend has one result per id: that of another sub-pipeline's job is not this one's.
        """
        if request.ignore_result:
            # Nobody knows whether links were called; calling them twice is Celery's own promise.
            return not (request.chain or request.callbacks)
        try:
            found = self.AsyncResult(request.id)
            return found.state in states.READY_STATES and found.result == value
        except Exception as error:  # a result backend that is away must not lose the outcome
            log.warning("result backend did not answer", why=str(error))
            return False

    def send_to_legacy(self, request: Any, reason: Reason, *, recorded: bool) -> None:
        """Send this same job to legacy; its id, chain, group, chord and links are kept.

        With the broker away a job that the ledger has moved is left to the sweeper; any other
        goes back to its queue, because this message is all there is of it.
        """
        marks = read_marks(request.headers)
        key = marks.key if marks else request.id
        decision = Decision(JobPath.LEGACY, reason, marks.revision if marks else -1)
        try:
            self._send(request, key, decision)
        except OperationalError as error:
            if not recorded:
                raise Reject(str(error), requeue=True) from error
            log.warning("broker away, the sweeper will send it", job=request.id, why=str(error))

    def _send(self, request: Any, key: str, decision: Decision) -> None:
        given = read_marks(request.headers)
        at = None if given is None else given.at
        marks = Marks(key, decision.path, decision.reason, decision.revision, handed=True, at=at)
        self.signature_from_request(
            request,
            args=request.args,
            kwargs=request.kwargs,
            queue=queue_of(self.pipeline.name, decision.path),
            headers={**(request.headers or {}), HEADER: marks.header()},
            retries=request.retries,
            # A time limit set for the concurrent path would kill the job on legacy, too.
            time_limit=None,
            soft_time_limit=None,
        ).apply_async()


def is_pool_child() -> bool:
    """Whether this process is one of a prefork pool's children, which the pool replaces."""
    return bool(current_process().name != "MainProcess")


class _Runnable:
    """The sub-pipeline with the path called through Celery's `run`, so that autoretry works."""

    def __init__(self, task: SubPipelineTask) -> None:
        self._task = task
        self.name = task.pipeline.name
        self.effects = task.pipeline.effects
        self.holdback_bp = task.pipeline.holdback_bp
        self.hurt = False
        self.write = task.pipeline.write
        self.read = task.pipeline.read

    def call(self, path: JobPath, job: Job) -> Any:
        token = current_job.set(job)
        try:
            return self._task.run(*job.args, **job.kwargs)
        finally:
            current_job.reset(token)
