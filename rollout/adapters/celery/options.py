"""What a task may be declared with behind rollout, and what is refused, with a sentence.

Everything that is not refused is Celery's own business and is handed to it as it is.
"""

from collections.abc import Mapping
from typing import Any

from celery import Task
from kombu.serialization import prepare_accept_content

from rollout.errors import DeclarationError

REFUSED: Mapping[str, tuple[str, str]] = {
    "name": (
        "the Celery task's name is written task_name=",
        "the first argument names the sub-pipeline",
    ),
    "shared": (
        "a shared task is copied into every app of the process, where rollout is not",
        "leave shared out; declare it on the app that has the jobs",
    ),
    "lazy": (
        "the task is made when the app is used, so that declaring reads no configuration",
        "leave lazy out",
    ),
    "filter": (
        "the object that a declaration gives is the sub-pipeline",
        "decorate the paths instead",
    ),
    "queue": ("rollout chooses the queue of every job", "leave queue out, here and in task_routes"),
    "exchange": ("rollout chooses the queue of every job", "leave exchange out"),
    "routing_key": ("rollout chooses the queue of every job", "leave routing_key out"),
    "run": ("the paths are what runs", "declare them with @legacy and @concurrent"),
    "rollout": ("the name is taken for rollout's own", "give the attribute another name"),
}
"""Options that are refused whatever their value: why, and what to write."""


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise DeclarationError for options that cannot mean behind rollout what they mean without."""
    for option, (why, hint) in REFUSED.items():
        if option in options and not (option == "shared" and options[option] is False):
            raise DeclarationError(f"{option}= of {name!r} is refused: {why}", hint)
    if options.get("acks_late") is False:
        raise DeclarationError(
            f"acks_late=False of {name!r} is refused: a message is acknowledged when its job has "
            "its outcome, so that a dead worker loses none",
            "leave acks_late out",
        )
    base = options.get("base")
    if base is not None and not (isinstance(base, type) and issubclass(base, Task)):
        raise DeclarationError(
            f"base= of {name!r} must be a Celery Task class, got {base!r}",
            "derive it from celery.Task",
        )
    serializer = options.get("serializer")
    if serializer not in (None, "json"):
        raise DeclarationError(
            f"serializer={serializer!r} of {name!r} is refused: the ledger keeps every message as "
            "JSON, so that it can be sent again, and reads nothing that is code",
            "leave serializer out; Celery's JSON carries dates, UUIDs, decimals and bytes",
        )


ROUTES = ("queue", "exchange", "routing_key")
"""Attributes of a task by which every one of its jobs would be its caller's own business."""


def check_made(name: str, task: Any) -> None:
    """Raise DeclarationError for what a base class, `task_annotations` or the app make of the task.

    Args:
        name: The sub-pipeline's.
        task: The task, bound to its app: the configuration is read by now.
    """
    where = "in its base class or in task_annotations"
    for option in ROUTES:
        value = getattr(task, option, None)
        if value is not None:
            why, _ = REFUSED[option]
            raise DeclarationError(
                f"{option}={value!r} of {name!r} is refused: {why}", f"take it out, {where}"
            )
    if not task.acks_late:
        raise DeclarationError(
            f"acks_late=False of {name!r} is refused: a message is acknowledged when its job has "
            "its outcome",
            f"take it out, {where}",
        )
    if task.serializer != "json":
        raise DeclarationError(
            f"serializer={task.serializer!r} of {name!r} is refused: the ledger keeps every "
            "message as JSON",
            f"take it out, {where}",
        )
    if any("rollout" in vars(one) for one in type(task).__mro__[1:]):
        raise DeclarationError(
            f"the class of {name!r} has an attribute `rollout`, a name that is taken for rollout's",
            "give the attribute another name",
        )
    if task.Strategy != Task.Strategy:
        raise DeclarationError(
            f"Strategy of {name!r} is refused: it takes messages before they become jobs, as "
            "celery-batches does, and rollout follows one job per message",
            "leave this task as it is",
        )
    if task.app.conf.task_serializer == "auth":
        raise DeclarationError(
            f"signed messages (task_serializer='auth') are refused for {name!r}: the ledger keeps "
            "every message as JSON and sends it again without a signature",
            "leave this task as it is, or declare it on an app that signs nothing",
        )
    accepted = prepare_accept_content(task.app.conf.accept_content)
    if "application/json" not in accepted:
        raise DeclarationError(
            f"accept_content={task.app.conf.accept_content!r} of the app leaves JSON out, and the "
            f"messages of {name!r} are JSON: its workers would refuse every job",
            'add "json" to accept_content',
        )
