"""What the ledger keeps of a result, where Celery would keep it or not keep it at all."""

from typing import Any

from celery.app.task import get_actual_ignore_result
from celery.backends.base import DisabledBackend

from rollout.adapters.envelope import to_json
from rollout.errors import ArgumentsUnusable
from rollout.jobs.outcomes import NOT_KEPT
from rollout.jobs.ports import Job


def written(task: Any, request: Any, value: Any, job: Job) -> str:
    """Call the commit hook, if there is one, and give the result as the ledger keeps it.

    A result that JSON cannot carry is no failure where nobody keeps results, or where the result
    backend carries it: then the caller gets it, and the ledger does not have it.

    Args:
        task: The Celery task.
        request: The delivery's request; None in a direct call, which returns the value itself.
        value: What the path returned.
        job: The job.

    Raises:
        Exception: What the commit hook raised, or what the result backend says of the value.
    """
    declared = task.rollout
    if declared.hook is not None:
        result: str = declared.write(value, job)
        return result
    try:
        return to_json(declared.name, "the result", value)
    except ArgumentsUnusable:
        if request is not None and not _is_unwanted(task, request):
            # What Celery would do next; its error is the job's, on either path.
            task.backend.encode(task.backend.prepare_value(value))
        return NOT_KEPT


def _is_unwanted(task: Any, request: Any) -> bool:
    stores_eagerly = not request.is_eager or task.store_eager_result
    return (
        bool(get_actual_ignore_result(task, request))
        or not stores_eagerly
        or isinstance(task.backend, DisabledBackend)
    )
