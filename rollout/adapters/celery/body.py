"""Runs the body of a job as Celery would: by the task's own class, with a request."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery import Task
from celery._state import _task_stack

from rollout.adapters.celery.ending import ends_the_run
from rollout.adapters.celery.marks import current_job
from rollout.jobs.interrupts import ProcessEnds
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath


def run_body(task: Any, job: Job) -> Any:
    """Run the job's path with the request that is there."""
    token = current_job.set(job)
    try:
        return _body_of(task)(*job.args, **job.kwargs)
    except BaseException as error:
        if ends_the_run(error):
            raise ProcessEnds(error) from error
        raise
    finally:
        current_job.reset(token)


def run_directly(task: Any, path: JobPath, job: Job) -> Any:
    """Run a path outside of any delivery, with a request as a direct call has it."""
    _task_stack.push(task)
    # Inside of a delivery a request is a copy of the delivery's: a retry would be its job's.
    task.push_request(args=job.args, kwargs=job.kwargs, called_directly=True)
    try:
        return run_body(task, replace(job, path=path))
    finally:
        task.pop_request()
        _task_stack.pop()


def _body_of(task: Any) -> Callable[..., Any]:
    """The own class's `__call__`, such as Flask's recipe; where that is Celery's, `run`."""
    call: Callable[..., Any] = task._behind_rollout()
    return task.run if getattr(call, "__func__", None) is Task.__call__ else call
