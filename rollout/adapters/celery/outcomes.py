"""Carries out what became of a delivery: told to Celery, sent to legacy, or routed late."""

import time
from typing import Any

from celery import states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from rollout.adapters.celery.amqp_refusals import why_not_taken
from rollout.adapters.celery.broker_errors import is_brokers
from rollout.adapters.celery.deliveries import filing_of, job_of, key_of, message_for
from rollout.adapters.celery.marks import job_id_of, queue_of, read_marks
from rollout.adapters.celery.message import Message
from rollout.errors import JobFailed, LedgerUnreachable, UnknownJob
from rollout.jobs.claims import Refusal
from rollout.jobs.delivery import Done, Dropped, Failed, Outcome, ToLegacy, Wait
from rollout.jobs.ending import outcome_of
from rollout.jobs.ports import Job
from rollout.jobs.submit import UNFILED
from rollout.log import log
from rollout.routing.decision import Decision, JobPath, Reason

WAIT_S = 1.0
"""Pause before a job whose server is away goes back to its queue, so that it does not spin."""


def carry_out(task: Any, request: Any, outcome: Outcome) -> Any:
    """Return, raise or send what the outcome says."""
    match outcome:
        case Done(value, duplicate):
            if duplicate and is_told(task, request, value):
                raise Ignore
            return value
        case ToLegacy(reason, recorded):
            send_to_legacy(task, request, reason, recorded=recorded)
            raise Ignore
        case Dropped(Refusal.FORGOTTEN):
            try:
                _keep(task, request, "older than what is pruned, and its job is not there: not run")
            except LedgerUnreachable as error:
                raise _later(request, error) from error
            raise Ignore
        case Dropped():
            raise Ignore
        case Failed(error):
            # SystemExit out of a path would take the worker's process along.
            raise JobFailed(request.id, repr(error)) if isinstance(error, SystemExit) else error
        case Wait(error):
            raise _later(request, error)


def _later(request: Any, error: LedgerUnreachable) -> Reject:
    """Pause; what gives the message back to its queue then."""
    log.warning("job waits for the ledger", job=request.id, why=str(error))
    time.sleep(WAIT_S)
    return Reject(str(error), requeue=True)


def _keep(task: Any, request: Any, why: str) -> None:
    """Keep a message that is not run, for a look. Raises LedgerUnreachable."""
    pipeline = task.rollout
    job = job_of(pipeline, request)
    assert job is not None, "what was delivered to a path has a job"
    envelope = filing_of(task, request, job).envelope
    queue = queue_of(job.name, job.path)
    pipeline.ledger.keep_message(queue, why, "{}", envelope, pipeline.submit.now())


def is_told(task: Any, request: Any, value: Any) -> bool:
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
        stored = task.AsyncResult(request.id)
        return stored.state in states.READY_STATES and stored.result == value
    except Exception as error:  # a result backend that is away must not lose the outcome
        log.warning("result backend did not answer", why=str(error))
        time.sleep(WAIT_S)  # what cannot be told is delivered again
        return False


def tell_again(task: Any, request: Any) -> None:
    """Tell a job's end once more where Celery's mark of its retry has come after it.

    Celery sends a retry's message before it marks the job as retried. Another process may have
    ended the job by then, and its caller would read RETRY for ever.
    """
    if request.ignore_result or request.called_directly or task.app.conf.task_always_eager:
        return
    try:
        record = task.rollout.ledger.job(task.rollout.name, job_id_of(vars(request), request.id))
    except (UnknownJob, LedgerUnreachable):
        return  # whoever ends it tells it
    if not record.state.finished:
        return
    # As of the run that has ended it, and without children: the retry itself is among them here.
    ended = Context(vars(request), retries=(request.retries or 0) + 1, _children=[])
    try:
        match outcome_of(task.rollout, record):
            case Done(value) if _is_hidden(task, request):
                task.backend.store_result(request.id, value, states.SUCCESS, request=ended)
            case Failed(error) if _is_hidden(task, request):
                task.backend.store_result(request.id, error, states.FAILURE, request=ended)
    except Exception as error:  # a result backend that is away must not fail a retry that was sent
        log.warning("result backend did not answer", job=request.id, why=str(error))


def _is_hidden(task: Any, request: Any) -> bool:
    """Whether a caller that asks now is told of a retry; rpc keeps nothing, and is told anew."""
    if not type(task.backend).persistent:
        return True
    return bool(task.backend.get_task_meta(request.id)["status"] == states.RETRY)


def route_late(task: Any, request: Any) -> Any:
    """Route a message from a producer that knows nothing of rollout, now that it is here."""
    pipeline = task.rollout
    args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
    job_id = job_id_of(vars(request), request.id)
    key = key_of(pipeline, job_id, args, kwargs)
    decision = pipeline.submit.decide(pipeline.name, key)
    job = Job(job_id, pipeline.name, key, decision.path, 0, args, kwargs)
    filed = pipeline.submit.file(
        pipeline.name,
        pipeline.effects,
        pipeline.holdback_bp,
        [filing_of(task, request, job, decision)],
        outcome_will_do=True,  # nobody waits here for an error
        on_failure=pipeline.on_failure,
    )
    decision = decision if filed else UNFILED
    _send_or_leave(task, request, message_for(task, request, key, decision), decision, filed)
    raise Ignore


def send_to_legacy(task: Any, request: Any, reason: Reason, *, recorded: bool) -> None:
    """Send this same job to legacy, with everything that travelled with its message.

    With the broker away a job that the ledger has moved is left to the sweeper; any other
    goes back to its queue, because this message is all there is of it.
    """
    marks = read_marks(vars(request), request.id)
    key = marks.key if marks else str(request.id)
    decision = Decision(JobPath.LEGACY, reason, marks.revision if marks else -1)
    message = message_for(task, request, key, decision, kept=recorded)
    _send_or_leave(task, request, message, decision, recorded)


def _send_or_leave(
    task: Any, request: Any, message: Message, decision: Decision, recorded: bool
) -> None:
    """Send it; with the broker away, leave it to the sweeper or to its queue."""
    try:
        _send(task, message, decision.path)
    except Exception as error:
        if not is_brokers(error):
            raise
        if not recorded:
            raise Reject(why_not_taken(error), requeue=True) from error
        log.warning(
            "broker does not take it, the sweeper will send it",
            job=request.id,
            why=why_not_taken(error),
        )


def _send(task: Any, message: Message, path: JobPath) -> None:
    queue, conf = queue_of(task.rollout.name, path), task.app.conf
    with (
        task.app.producer_or_acquire() as producer,
        producer.connection._reraise_as_library_errors(),
    ):
        message.publish(
            producer,
            queue,
            declare=[task.app.amqp.queues[queue]],
            retry=conf.task_publish_retry,
            retry_policy=conf.task_publish_retry_policy,
        )
