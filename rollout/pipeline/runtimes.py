"""The services of this process for a declaration, built from the settings when first needed."""

from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from rollout.wiring import Runtime, build, build_for_app, build_in_memory


class Runtimes:
    """Chooses the services of a declared sub-pipeline.

    Args:
        app: Celery app, a proxy of the current one, or None.
        given: Services that the declaration names; they are always taken.
    """

    def __init__(self, app: Any, given: Runtime | None) -> None:
        self._app = app
        self._given = given
        self._by_app: WeakKeyDictionary[Any, Runtime] = WeakKeyDictionary()
        self._by_broker: dict[str, Runtime] = {}

    @property
    def now(self) -> Runtime:
        """Those of a job that is sent, or comes from a worker.

        In Celery's eager mode they live and end with this process, without a server or a file.
        """
        if self._given is not None:
            return self._given
        if self._app is not None and self._app.conf.task_always_eager:
            return self._in_memory
        return self._built

    @property
    def here(self) -> Runtime:
        """Those of a job that runs in this process: in memory while an app set no ledger."""
        runtime = self.now
        if self._app is None or runtime is self._given:
            return runtime
        return runtime if runtime.settings.ledger_is_set else self._in_memory

    @property
    def _built(self) -> Runtime:
        if self._app is None or not hasattr(self._app, "_get_current_object"):
            return self._only
        app = self._app._get_current_object()
        runtime = self._by_app.get(app)
        if runtime is None:
            broker = repr((app.conf.broker_write_url, app.conf.broker_transport_options))
            runtime = self._by_broker.get(broker) or build_for_app(app)
            self._by_app[app] = self._by_broker[broker] = runtime
        return runtime

    @cached_property
    def _only(self) -> Runtime:
        return build() if self._app is None else build_for_app(self._app)

    @cached_property
    def _in_memory(self) -> Runtime:
        return build_in_memory()
