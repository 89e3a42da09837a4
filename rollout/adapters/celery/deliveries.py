"""Reads a delivery: the job that it is, what the ledger is to hold of it, and its whole message.

What Celery gives a body is the body's: it may change its arguments, drop the rest of its chain, and
a `task_prerun` handler may put objects into its keyword arguments. So a message that is sent again
is the one that the ledger keeps, and what is left of the delivery only where the ledger has none.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollout.adapters.celery.declaration import Declared
from rollout.adapters.celery.marks import (
    HEADER,
    Marks,
    job_id_of,
    milliseconds,
    path_of,
    read_marks,
    submitted_at,
)
from rollout.adapters.celery.message import Message, as_delivered, from_text, to_text
from rollout.errors import LedgerUnreachable, UnknownJob
from rollout.jobs.ports import Filing, Job
from rollout.jobs.submit import check_job_id
from rollout.routing.decision import Decision, JobPath, Reason


def job_of(pipeline: Declared, request: Any) -> Job | None:
    """Read the job of a delivery; None for one that no decision was made on.

    Raises KeyMissing, KeyUnusable, JobIdUnusable for one of which no job can be made.

    The marks are hidden from the body: a caller who forwards `request.headers` sends another
    job. A retry gets them back in the task's `signature_from_request`.
    """
    marks = read_marks(vars(request), request.id)
    if request.headers and HEADER in request.headers:
        kept = {name: value for name, value in request.headers.items() if name != HEADER}
        request.headers = kept or None
    path = path_of(pipeline.name, routing_key_of(request))
    if path is None:
        if marks is None:
            return None
        path = JobPath.LEGACY  # the caller chose this queue: opted out, legacy runs in place
    args, kwargs = tuple(request.args or ()), dict(request.kwargs or {})
    job_id = job_id_of(vars(request), request.id)
    check_job_id(pipeline.name, job_id)
    key = marks.key if marks else key_of(pipeline, job_id, args, kwargs)
    return Job(job_id, pipeline.name, key, path, 0, args, kwargs)


def routing_key_of(request: Any) -> str | None:
    """The routing key by which a delivery came."""
    key: str | None = (request.delivery_info or {}).get("routing_key")
    return key


def key_of(
    pipeline: Declared, job_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str:
    """The key that a delivered job is routed by."""
    try:
        return pipeline.key_of(job_id, args, kwargs)
    except TypeError:
        return job_id  # wrong arguments fail when the path is called, as without rollout


def worker_of(request: Any, pid: int | None = None) -> str:
    """Name of the process that runs the job."""
    return f"{request.hostname}:{pid or os.getpid()}"


def filing_of(
    task: Any, request: Any, job: Job, decision: Decision | None = None, *, kept: bool = False
) -> Filing:
    """What the ledger is to hold of a delivery; `kept` as in `message_for`.

    Raises:
        ArgumentsUnusable, PayloadTooLarge: No job can be made of it.
    """
    pipeline: Declared = task.rollout
    marks = read_marks(vars(request), request.id)
    made = decision or (marks.decision if marks else Decision(job.path, Reason.UNFILED, -1))
    message = message_for(task, request, job.key, replace(made, path=job.path), kept=kept)
    return Filing(
        job_id=job.job_id,
        name=job.name,
        key=job.key,
        path=job.path,
        reason=made.reason,
        revision=made.revision,
        envelope=to_text(job.name, message, pipeline.payload_bytes_max),
        at=submitted_at(marks, pipeline.submit.now()),
    )


def message_for(
    task: Any, request: Any, key: str, decision: Decision, *, kept: bool = False
) -> Message:
    """A delivery's message, as legacy would get it.

    Args:
        task: The Celery task.
        request: The delivery's.
        key: The job's routing key.
        decision: The one that it is sent on.
        kept: The ledger has answered lately, and is asked for the message that it keeps.
    """
    given = read_marks(vars(request), request.id)
    now = task.rollout.submit.now()
    marks = Marks(
        key,
        decision.path,
        decision.reason,
        decision.revision,
        of=str(request.id),
        spent=given.spent if given else request.retries,
        at=milliseconds(submitted_at(given, now)),
        sent=milliseconds(now),
    )
    message = _kept_message(task.rollout, request) if kept else None
    return (message or as_delivered(request, task.app)).for_legacy(marks)


def _kept_message(pipeline: Declared, request: Any) -> Message | None:
    """The message of this job that the ledger keeps; None where it keeps none."""
    try:
        record = pipeline.ledger.job(pipeline.name, job_id_of(vars(request), request.id))
    except (UnknownJob, LedgerUnreachable):
        return None
    return from_text(record.envelope) if record.envelope else None
