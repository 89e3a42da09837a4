"""Puts rollout into a Celery app. Nothing of the app is read, made or changed but its own name.

A declaration waits in the app's queue of pending tasks, as `@app.task` does: the task is made when
the app is finalized or the task is first used, with the configuration that holds then.
"""

from collections.abc import Callable
from typing import Any

from celery.local import PromiseProxy
from celery.utils.imports import symbol_by_name

from rollout.adapters.celery.adopted import make_task
from rollout.adapters.celery.amqp import PIPELINES, door_into, pipelines_of
from rollout.adapters.celery.limits import Place, warn_unlimited
from rollout.adapters.celery.options import check_made, check_options
from rollout.adapters.celery.shadow import ShadowTask
from rollout.adapters.celery.shadow_queue import shadow_task_of
from rollout.adapters.celery.steps import worker_step
from rollout.errors import DeclarationError
from rollout.routing.decision import JobPath

__all__ = ["Pending", "check_options", "install_in", "pipelines_of", "plain_function"]


def install_in(app: Any, declared: Any, options: dict[str, Any], place: Place) -> "Pending":
    """Open the door for a sub-pipeline's messages, and have its task made when the app is.

    Args:
        app: Celery app; its configuration is not read here.
        declared: The declared sub-pipeline; its `task_name` is the name of the task.
        options: Celery task options, such as `autoretry_for` or `soft_time_limit`.
        place: The line of the declaration.

    Raises:
        DeclarationError: Another task of this app has the name, or an option is refused.
    """
    for other in pipelines_of(app).values():
        if other.name == declared.name:
            raise DeclarationError(
                f"sub-pipeline {declared.name!r} is declared twice on this app",
                "give the second another name, or import the first",
            )
    check_options(declared.name, options)
    _check_free(app, declared)
    if PIPELINES not in app.__dict__:
        _open_door(app)
    pipelines_of(app)[declared.task_name] = declared
    pending = Pending(app, declared, options, place)
    app._pending.append(pending)
    return pending


class Pending:
    """A task that is made when its app is finalized, or when it is first used."""

    def __init__(self, app: Any, declared: Any, options: dict[str, Any], place: Place) -> None:
        self._app = app
        self._declared = declared
        self._options = options
        self._place = place
        self._made = False

    def __maybe_evaluate__(self) -> None:
        """Make the task: the app is finalized."""
        try:
            self.task()
        except AttributeError as error:
            # Celery takes an AttributeError for "not lazy" and would go on without the task.
            raise DeclarationError(
                f"the task {self._declared.task_name!r} could not be made: {error}",
                "correct its options",
            ) from error

    def when_finalized(self) -> None:
        """Make the task of a path that was declared after its app was finalized."""
        if self._app.finalized:
            self.task()

    def task(self) -> Any:
        """The task; None while there is no legacy path, whose signature and name it has."""
        declared, app = self._declared, self._app
        if not self._made and JobPath.LEGACY in declared.paths:
            _check_free(app, declared)
            task = make_task(app, declared, self._options)
            try:
                check_made(declared.name, task)
            except DeclarationError:
                del app._tasks[declared.task_name]
                raise
            _make_shadow(app, declared)
            self._made = True
            warn_unlimited(app, app._tasks[declared.task_name], declared.name, self._place)
        return app._tasks.get(declared.task_name) if self._made else None


def _check_free(app: Any, declared: Any) -> None:
    """Raise DeclarationError when the name is another task's, made or still pending."""
    taken = declared.task_name in app._tasks
    for pending in app._pending:
        if type(pending) is PromiseProxy and _name_of(app, pending) == declared.task_name:
            taken = True
    if taken:
        raise DeclarationError(
            f"the app already has a task named {declared.task_name!r}",
            f"remove its @app.task: @{declared.name}.legacy takes the function over",
        )


def _name_of(app: Any, pending: Any) -> str | None:
    """Name that a pending `@app.task` will have; it is not made for that."""
    try:
        args = object.__getattribute__(pending, "_Proxy__args")
        options = object.__getattribute__(pending, "_Proxy__kwargs")
    except AttributeError:
        return None  # it is made, and among the tasks
    if options.get("name"):
        return str(options["name"])
    function: Any = args[0] if args else None
    if not hasattr(function, "__name__"):
        return None
    return str(app.gen_task_name(function.__name__, function.__module__))


def _make_shadow(app: Any, declared: Any) -> None:
    """Make the task of shadows: no option of the real one, such as a retry, is theirs."""
    name = "shadow_of_" + declared.name.replace("-", "_")
    values = {"name": shadow_task_of(declared.task_name), "pipeline": declared, "_app": app}
    task = type(name, (ShadowTask,), values)()
    app._tasks[task.name] = task
    task.bind(app)


def _open_door(app: Any) -> None:
    app.__dict__[PIPELINES] = {}
    app.amqp_cls = door_into(symbol_by_name(app.amqp_cls))
    app.__dict__.pop("amqp", None)  # one made before the declaration has no door
    app.steps["consumer"].add(worker_step(pipelines_of(app)))


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
