"""Puts rollout into a Celery app, without reading its configuration before the user has set it."""

from collections.abc import Callable
from typing import Any

from celery.local import PromiseProxy
from celery.utils.imports import symbol_by_name

from rollout.adapters.celery.amqp import routed_amqp
from rollout.adapters.celery.marks import current_job
from rollout.adapters.celery.shadow import ShadowTask
from rollout.adapters.celery.shadow_queue import shadow_task_of
from rollout.adapters.celery.steps import worker_step
from rollout.adapters.celery.task import Declared, SubPipelineTask
from rollout.errors import DeclarationError

_ATTRIBUTE = "rollout_pipelines"


def pipelines_of(app: Any) -> dict[str, Any]:
    """Sub-pipelines declared on this app, by task name."""
    found: dict[str, Any] = app.__dict__.get(_ATTRIBUTE, {})
    return found


def install(app: Any, pipeline: Declared, task_name: str, options: dict[str, Any]) -> Any:
    """Register a sub-pipeline's task and open the door for its messages.

    Args:
        app: Celery app; its configuration is not read here.
        pipeline: The declared sub-pipeline.
        task_name: Name the task is registered under; an existing name is adopted.
        options: Celery task options, such as `autoretry_for` or `soft_time_limit`.

    Returns:
        The task (Celery's lazy proxy of it).

    Raises:
        DeclarationError: Another task of this app already has the name.
    """
    if _ATTRIBUTE not in app.__dict__:
        _open_door(app)
    if task_name in app._tasks:
        raise DeclarationError(
            f"the app already has a task named {task_name!r}",
            f"remove its @app.task: @{pipeline.name}.legacy takes the function over",
        )

    def run(*args: Any, **kwargs: Any) -> Any:
        job = current_job.get()
        return pipeline.call(job.path, job)

    # Celery compiles a checker of this name, so it has to be an identifier.
    run.__name__ = run.__qualname__ = "sub_pipeline_" + pipeline.name.replace("-", "_")
    # A shared task would be copied into every other app of the process, without its door.
    options = {"shared": False, **options}
    task = app.task(run, base=SubPipelineTask, name=task_name, pipeline=pipeline, **options)
    pipelines_of(app)[task_name] = pipeline
    _install_shadow(app, pipeline, task_name)
    return task


def _install_shadow(app: Any, pipeline: Declared, task_name: str) -> None:
    """Register the task of shadows: no option of the real one, such as a retry, is theirs."""
    name = "shadow_of_" + pipeline.name.replace("-", "_")
    made = type(name, (ShadowTask,), {"name": shadow_task_of(task_name), "pipeline": pipeline})
    app.register_task(made())


def _open_door(app: Any) -> None:
    pipelines: dict[str, Any] = {}
    app.__dict__[_ATTRIBUTE] = pipelines
    app.amqp_cls = routed_amqp(symbol_by_name(app.amqp_cls), pipelines)
    app.__dict__.pop("amqp", None)  # one made before the declaration has no door
    app.steps["consumer"].add(worker_step(pipelines))
    app.add_defaults(_default_results(app))


def _default_results(app: Any) -> Callable[[], dict[str, Any]]:
    """Results need a backend: without one, the next database number of the same Redis.

    An AsyncResult that could never answer is not what `delay()` promises; the broker's own
    database is left to its messages.
    """

    def defaults() -> dict[str, Any]:
        broker = app._conf.broker_url or ""
        if app._conf.result_backend or not broker.startswith(("redis://", "rediss://")):
            return {}
        head, _, number = broker.rpartition("/")
        if not number.isdigit():
            head, number = broker.rstrip("/"), "0"
        return {"result_backend": f"{head}/{int(number) + 1}"}

    return defaults


def plain_function(function: Any) -> Callable[..., Any]:
    """The function under a Celery task, so that an existing task's body can be handed over."""
    if isinstance(function, PromiseProxy) or hasattr(function, "apply_async"):
        raise DeclarationError(
            f"expected a plain function, got the Celery task {function.name!r}",
            "remove @app.task and declare SubPipeline(task_name=...) with that name instead",
        )
    if not callable(function):
        raise DeclarationError(
            f"expected a function, got {type(function).__name__}", "decorate a function"
        )
    return function  # type: ignore[no-any-return]  # narrowed by callable()
