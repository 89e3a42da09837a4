"""Makes the Celery task of a sub-pipeline: the user's own class, with rollout in front of it.

The class is what `@app.task` would make of the legacy function (base, bind, options, hooks,
pydantic, autoretry), except that its `run` calls the path that the job takes, and that its
`__call__` is `SubPipelineTask`'s, which calls the user's own.
"""

from typing import Any

from celery.utils.imports import symbol_by_name

from rollout.adapters.celery.marks import current_job
from rollout.adapters.celery.request import SubPipelineRequest
from rollout.adapters.celery.task import SubPipelineTask
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath

_COPIED = ("__module__", "__qualname__", "__doc__", "__annotations__")


def make_task(app: Any, declared: Any, options: dict[str, Any]) -> Any:
    """Make and register the task of a declared sub-pipeline, as `@app.task` does."""
    given = {name: value for name, value in options.items() if name not in ("base", "shared")}
    base = options.get("base") or app.Task
    theirs = given.pop("Request", None) or base.Request
    return app.task(
        runner_of(declared),
        lazy=False,
        shared=False,
        name=declared.task_name,
        base=type(base.__name__, (SubPipelineTask, base), {"abstract": True}),
        rollout=declared,
        Request=_request_with(symbol_by_name(theirs)),
        **given,
    )


def _request_with(theirs: type) -> type:
    if issubclass(theirs, SubPipelineRequest):
        return theirs
    return type(theirs.__name__, (SubPipelineRequest, theirs), {})


def runner_of(declared: Any) -> Any:
    """The body of the task: calls the job's path, and looks like the legacy function."""
    legacy = declared.paths[JobPath.LEGACY]

    def run(*args: Any, **kwargs: Any) -> Any:
        job = current_job.get(None)
        if job is None:  # `task.run(...)`, as a unit test calls a body; or from a thread of its own
            given = args[1:] if declared.bound else args
            job = Job("", declared.name, "", JobPath.LEGACY, 0, given, kwargs)
        return declared.call_path(job.path, job, args, kwargs)

    for attribute in _COPIED:
        if hasattr(legacy, attribute):
            setattr(run, attribute, getattr(legacy, attribute))
    name = getattr(legacy, "__name__", "")
    # Celery compiles a checker of this name, so it has to be an identifier.
    plain = "sub_pipeline_" + declared.name.replace("-", "_")
    run.__name__ = name if name.isidentifier() else plain
    run.__wrapped__ = legacy  # type: ignore[attr-defined]  # as functools.wraps does
    run.__signature__ = declared.signatures[JobPath.LEGACY].of_task  # type: ignore[attr-defined]
    return run
