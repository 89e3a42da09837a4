"""Classes of tasks, as people write them."""

import os
from pathlib import Path
from typing import Any

from celery import Task
from celery.worker.request import Request

from tests.celery_conformance.notes import note

FOLDER = Path(os.environ.get("CONFORMANCE_FOLDER", "."))


class Hooked(Task):  # type: ignore[misc]  # Celery has no types
    """A base with every hook, and a helper."""

    abstract = True

    def helper(self) -> str:
        """What bodies of such a task call."""
        return f"help of {self.name}"

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
        """Note it."""
        note(kwargs, "before_start", self.name)

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        """Note it."""
        note(kwargs, "on_success", self.name, repr(retval))

    def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Note it."""
        note(kwargs, "on_retry", self.name, repr(exc))

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Note it."""
        note(kwargs, "on_failure", self.name, repr(exc))

    def after_return(
        self, status: str, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Note it."""
        note(kwargs, "after_return", self.name, status)

    def on_replace(self, sig: Any) -> Any:
        """Note it."""
        note(self.request.kwargs, "on_replace", self.name)
        return super().on_replace(sig)


class Called(Task):  # type: ignore[misc]  # Celery has no types
    """Flask's own recipe: the body runs inside a context."""

    abstract = True
    inside = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Open the context around the body."""
        type(self).inside = True
        try:
            return self.run(*args, **kwargs)
        finally:
            type(self).inside = False


class Refusing(Task):  # type: ignore[misc]  # Celery has no types
    """A base whose `apply_async` lets a job in once, as locks such as celery-once do."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Refuse the second."""
        case = (kwargs or {}).get("case")
        path = FOLDER / f"lock-{case}"
        if path.exists():
            raise RuntimeError("already queued")
        path.touch()
        return super().apply_async(args, kwargs, **options)


class Inherited(Hooked):
    """A class below a class, with an own form of a hook and of a helper."""

    abstract = True
    max_retries = 1
    greeting = "good morning"

    def helper(self) -> str:
        """Of both."""
        return f"{self.greeting}, {super().helper()}"

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        """Before the base's."""
        note(kwargs, "on_success of its own", self.name)
        super().on_success(retval, task_id, args, kwargs)


class Configured(Task):  # type: ignore[misc]  # Celery has no types
    """A base with an attribute that a setting of the app gives."""

    abstract = True
    greeting = None
    from_config = (*Task.from_config, ("greeting", "shop_greeting"))


class OfAClass(Task):  # type: ignore[misc]  # Celery has no types
    """A task that is a class, as they were written before decorators, and are again."""

    name = "shop.of_a_class"
    max_retries = 2
    greeting = "good day"

    def run(self, *args: Any, case: str = "", do: str = "return", **more: Any) -> Any:
        """Its body."""
        from tests.celery_conformance.bodies import act

        return act(*args, case=case, do=do, **more)


def noted_failure(self: Any, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
    """A hook that `task_annotations` puts on a task."""
    note(kwargs, "annotated on_failure", self.name, repr(exc))


class Decorated(Task):  # type: ignore[misc]  # Celery has no types
    """A base that puts a header on what is sent, and calls the body by Celery's own `__call__`."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send it with a tenant, as packages for tenants do."""
        options["headers"] = {**(options.get("headers") or {}), "tenant": "of the base"}
        return super().apply_async(args, kwargs, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Around the body."""
        note(kwargs, "called", self.name)
        return super().__call__(*args, **kwargs)


class Stateful(Task):  # type: ignore[misc]  # Celery has no types
    """A base that is made once for each process, and keeps what it has opened."""

    abstract = True

    def __init__(self) -> None:
        self.ready = "opened"


class Watched(Request):  # type: ignore[misc]  # Celery has no types
    """A request of the project: it sees what the worker's main process sees."""

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """Note it."""
        note(self.kwargs, "seen by its request", self.name)
        return super().on_success(failed__retval__runtime, **kwargs)
