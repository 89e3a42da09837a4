"""Steps on Celery workers: for a graph or chain that needs more than one machine.

    remote = RemoteSteps(app, [parse, load], queue="steps")     # in the module that workers load
    GraphEngine(graph, workers=32, executor=CeleryExecutor(remote))

A step's work crosses by its name, its arguments and its result as JSON; a worker runs only what was
registered, so that whoever can write to the broker cannot name any function. No pickle.

A message is acknowledged when the step has ended, so that a lost worker's step runs again: the
work of a remote step must be safe to repeat. Answers are collected by one thread, which lives while
steps are under way; it reads the result store and not its events, for an event can be missed.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from threading import Condition, Thread
from time import monotonic
from typing import Any

from rollout.execution.errors import NotRemote, RemoteStepFailed, Stopped
from rollout.execution.running import invoke
from rollout.execution.stage_work import work_batch

TASK = "rollout.execution.step"
MARK = "rollout.step"
"""Key under which JSON names a registered function or exception."""

COLLECT_S = 0.01
GIVEN_BACK_S = 1.0
"""How long a cancelled step that no worker has begun is waited for."""

Named = Callable[..., Any] | type[Exception]


class RemoteSteps:
    """What Celery workers may run, by name; declare it in the module that they load.

    Args:
        app: Celery app with a result backend.
        steps: Functions, and the exceptions that stages name as corrupt.
        queue: Where the steps go; None is the app's default.
        task: Name of the Celery task.

    Raises:
        NotRemote: One of them cannot be named.
    """

    def __init__(
        self, app: Any, steps: Iterable[Named], *, queue: str | None = None, task: str = TASK
    ) -> None:
        self.app, self.queue = app, queue
        self.by_name: dict[str, Named] = {}
        for step in [invoke, work_batch, *steps]:
            self.by_name[_name(step)] = step

        def run(call: dict[str, Any]) -> Any:
            function, *args = self.decode(call["call"])
            return function(*args)

        self.task = app.task(
            run,
            name=task,
            serializer="json",
            acks_late=True,
            reject_on_worker_lost=True,
            track_started=True,
            ignore_result=False,
        )

    def knows(self, step: object) -> bool:
        """Whether workers may run it."""
        return step in self.by_name.values() or _is_plain_error(step)

    def encode(self, value: Any) -> Any:
        """Give a value as JSON, functions by their names.

        Raises:
            NotRemote: It is no JSON, or names a function that is not registered.
        """
        if callable(value):
            if not self.knows(value):
                raise NotRemote(
                    f"{value!r} is not among the registered steps",
                    "add it to RemoteSteps(app, [...]) in the module that workers load",
                )
            return {MARK: _name(value)}
        if isinstance(value, dict):
            if MARK in value or not all(isinstance(key, str) for key in value):
                raise NotRemote(
                    f"a dictionary that crosses to Celery has text as keys, and not {MARK!r}, "
                    f"got {list(value)!r:.80}",
                    "use other keys",
                )
            return {key: self.encode(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.encode(one) for one in value]
        if value is None or isinstance(value, str | int | float | bool):
            return value
        raise NotRemote(
            f"arguments of a step on Celery must be JSON, got {type(value).__name__}",
            "hand over text, numbers, lists and dictionaries, such as where the data is",
        )

    def decode(self, value: Any) -> Any:
        """Read what `encode` gave."""
        if isinstance(value, dict):
            if MARK in value:
                return self._named(value[MARK])
            return {key: self.decode(one) for key, one in value.items()}
        return [self.decode(one) for one in value] if isinstance(value, list) else value

    def _named(self, name: str) -> Named:
        import builtins

        if name in self.by_name:
            return self.by_name[name]
        module, _, qualified = name.partition(":")
        found = getattr(builtins, qualified, None) if module == "builtins" else None
        if found is None or not _is_plain_error(found):
            raise NotRemote(
                f"this worker has no step {name!r}", "deploy the module that registers it"
            )
        error: type[Exception] = found
        return error


class CeleryFuture(Future[Any]):
    """A step under way on a worker.

    What is asked of it is told to the workers by the collector: whoever asks may hold a lock that
    must not wait for a broker.
    """

    def __init__(self, handle: Any) -> None:
        super().__init__()
        self.handle = handle
        self.given_back_at: float | None = None
        self._asked: list[dict[str, Any]] = []

    def cancel(self) -> bool:
        """Ask for it back; False, for only a worker's answer says whether it had begun."""
        if self.given_back_at is None:
            self.given_back_at = monotonic()
            self._asked.append({})
        return False

    def stop(self) -> None:
        """End the worker process that runs it; the worker starts another."""
        self._asked.append({"terminate": True, "signal": "SIGKILL"})

    def tell(self) -> None:
        """Tell the workers what was asked."""
        while self._asked:
            self.handle.revoke(**self._asked.pop(0))


class CeleryExecutor(Executor):
    """A `concurrent.futures.Executor` whose calls run on Celery workers.

    Args:
        remote: What they may run.
    """

    def __init__(self, remote: RemoteSteps) -> None:
        self.remote = remote
        self._pending: set[CeleryFuture] = set()
        self._changed = Condition()
        self._collector: Thread | None = None
        self._closed = False

    def accept(self, work: Callable[..., Any]) -> None:
        """Refuse work that workers do not know, when a graph is declared to run here."""
        self.remote.encode(work)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> CeleryFuture:
        """Send a call to the workers.

        Raises:
            NotRemote: It cannot cross by name and JSON.
            RuntimeError: The executor was shut down.
        """
        if self._closed:
            raise RuntimeError("this CeleryExecutor was shut down; make another one")
        if kwargs:
            raise NotRemote("a call on Celery takes no keywords", "hand over a dictionary")
        call = {"call": self.remote.encode([fn, *args])}
        json.dumps(call, allow_nan=False)
        future = CeleryFuture(self.remote.task.apply_async((call,), queue=self.remote.queue))
        future.set_running_or_notify_cancel()
        with self._changed:
            self._pending.add(future)
            if self._collector is None:
                self._collector = Thread(target=self._collect, name="execution-celery", daemon=True)
                self._collector.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; wait for what is under way."""
        self._closed = True
        with self._changed:
            for future in self._pending if cancel_futures else ():
                future.cancel()
            if wait:
                self._changed.wait_for(lambda: not self._pending and self._collector is None)

    def _collect(self) -> None:
        while True:
            with self._changed:
                if not self._pending:
                    self._collector = None
                    self._changed.notify_all()
                    return
                pending = list(self._pending)
                self._changed.wait(COLLECT_S)
            for future in pending:
                try:
                    _answer(future)
                except Exception as error:  # broker or result store do not answer
                    future.set_exception(error)
                if future.done():
                    with self._changed:
                        self._pending.discard(future)


def _answer(future: CeleryFuture) -> None:
    """Take in the answer of a worker, if there is one."""
    future.tell()
    backend = future.handle.backend
    meta = backend.get_task_meta(future.handle.id)
    status = meta["status"]
    if status == "SUCCESS":
        future.set_result(meta["result"])
    elif status == "FAILURE":
        error = meta["result"]
        traceback = str(meta.get("traceback") or "")
        future.set_exception(RemoteStepFailed(type(error).__name__, str(error), traceback))
    elif status == "REVOKED" or (
        status == "PENDING"
        and future.given_back_at is not None
        and monotonic() - future.given_back_at > GIVEN_BACK_S
    ):
        future.set_exception(Stopped("the step was taken back"))
    if future.done():
        backend.forget(future.handle.id)


def _name(step: Any) -> str:
    qualified = getattr(step, "__qualname__", "")
    if not qualified or "<" in qualified:
        raise NotRemote(
            f"a step on Celery must be a function at the top of a module, got {step!r}",
            "define it there, so that a worker can find it by its name",
        )
    return f"{step.__module__}:{qualified}"


def _is_plain_error(step: object) -> bool:
    return isinstance(step, type) and issubclass(step, Exception) and step.__module__ == "builtins"
