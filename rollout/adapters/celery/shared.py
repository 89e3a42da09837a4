"""A declaration on `celery.current_app`: in every app of the process, as `@shared_task` is.

An application factory makes the app after the modules with tasks are imported, sometimes once per
test. So such a declaration waits: an app that exists gets it at once, a later one when its worker
imports its modules (before it chooses its queues) or when it is finalized (before its first use).
"""

from typing import Any
from weakref import WeakKeyDictionary

from celery._state import _get_active_apps, connect_on_app_finalize
from celery.local import Proxy
from celery.signals import import_modules

from rollout.adapters.celery.install import Pending, check_options, install_in
from rollout.adapters.celery.limits import declared_at


def install(app: Any, declared: Any, options: dict[str, Any]) -> None:
    """Install a declaration in its app, or in every app where that is `celery.current_app`.

    Args:
        app: Celery app; its configuration is not read here.
        declared: The declared sub-pipeline; its `task_name` is the name of the task.
        options: Celery task options, such as `autoretry_for` or `soft_time_limit`.

    Raises:
        DeclarationError: Another task of the app has the name, or an option is refused.
    """
    if is_current_app(app):
        pending: Pending | SharedPending = SharedPending(app, declared, options)
    else:
        pending = install_in(app, declared, options, declared_at())
    declared.on_path, declared.made_task = pending.when_finalized, pending.task


def is_current_app(app: Any) -> bool:
    """Whether this stands for whichever app is the current one, as `celery.current_app` does."""
    return type(app) is Proxy


class SharedPending:
    """The tasks of one declaration, one in each app."""

    def __init__(self, current: Any, declared: Any, options: dict[str, Any]) -> None:
        check_options(declared.name, options)
        self._current = current
        self._declared = declared
        self._options = options
        self._place = declared_at()
        self._by_app: WeakKeyDictionary[Any, Pending] = WeakKeyDictionary()
        for app in _get_active_apps():
            self._in(app)
        connect_on_app_finalize(self._in)
        import_modules.connect(self._when_imported, weak=False)

    def when_finalized(self) -> None:
        """Make the tasks of a path that was declared after its apps were finalized."""
        for pending in list(self._by_app.values()):
            pending.when_finalized()

    def task(self) -> Any:
        """The task of the current app; None while there is no legacy path."""
        return self._in(self._current._get_current_object()).task()

    def _when_imported(self, sender: Any, **_: Any) -> None:
        self._in(sender)

    def _in(self, app: Any) -> Pending:
        if app not in self._by_app:
            self._by_app[app] = install_in(app, self._declared, self._options, self._place)
        return self._by_app[app]
