"""Where the work of a step runs: in the slot's own thread, in processes, or on a given executor.

A slot's thread holds its step for as long as the work runs elsewhere, so that slots, resources and
limits mean the same everywhere; an executor never has more than `workers` steps of a run.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Lock
from typing import Any

from rollout.execution.errors import (
    CalledOff,
    NotRemote,
    Stopped,
    WaitsForItself,
    WorkerDied,
    WrongDeclaration,
)
from rollout.execution.running import Running, current, here, invoke


class Place:
    """The slots' own threads; the others build on it."""

    remote = False
    here: tuple[int, int] | None = None

    def accept(self, name: str, work: Callable[..., Any]) -> None:
        """Refuse work that cannot run here, at declaration."""

    def open(self) -> None:
        """Make ready, before the first step."""

    def call(
        self, running: Running, work: Callable[..., Any], args: Sequence[Any], kwargs: Any
    ) -> Any:
        """Run the work and give its result."""
        return work(*args, **kwargs)

    def abandon(self, name: str) -> None:
        """Its time is up: try to stop it."""

    def take_back(self) -> None:
        """The run stops: take back what has not started."""

    def close(self) -> None:
        """Nothing comes any more."""


class OnExecutor(Place):
    """Any `concurrent.futures.Executor`, which stays the caller's."""

    remote = True

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.here = here(executor)
        self._futures: dict[str, Future[Any]] = {}
        self._stopped = False

    def accept(self, name: str, work: Callable[..., Any]) -> None:
        """Ask the executor, if it has an opinion."""
        accept = getattr(self.executor, "accept", None)
        if accept is not None:
            accept(work)

    def open(self) -> None:
        """Refuse a run from inside of one on the same executor.

        Raises:
            WaitsForItself: It would wait for the place it holds itself.
        """
        running = current()
        if running is not None and running.place is not None and running.place == self.here:
            raise WaitsForItself(running.name)

    def call(
        self, running: Running, work: Callable[..., Any], args: Sequence[Any], kwargs: Any
    ) -> Any:
        """Submit it and wait."""
        about: Mapping[str, Any] = {
            "name": running.name,
            "attempt": running.attempt,
            "seed": running.seed,
            "place": self.here,
        }
        future = self._submit(invoke, work, list(args), dict(kwargs), about)
        self._futures[running.name] = future
        try:
            return future.result()
        except CancelledError:
            if self._stopped:
                raise Stopped(f"{running.name} was taken back before it started") from None
            raise CalledOff(running.name) from None
        except BrokenProcessPool as error:
            raise WorkerDied(running.name) from error
        finally:
            self._futures.pop(running.name, None)

    def _submit(self, *call: Any) -> Future[Any]:
        return self.executor.submit(*call)

    def abandon(self, name: str) -> None:
        """Cancel it, or stop it where the executor can."""
        future = self._futures.get(name)
        if future is not None and not future.cancel():
            stop = getattr(future, "stop", None)
            if stop is not None:
                stop()

    def take_back(self) -> None:
        """Cancel what waits in the executor."""
        self._stopped = True
        for future in list(self._futures.values()):
            future.cancel()


class InProcesses(OnExecutor):
    """A process pool of our own, made anew when one of its processes dies."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = Lock()
        self._futures = {}
        self._stopped = False

    def open(self) -> None:
        """Make the pool; its processes start with the first steps."""
        super().__init__(self._pool())

    def _pool(self) -> ProcessPoolExecutor:
        # Forking a process whose threads hold locks can hang the child, so it starts afresh.
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))

    def accept(self, name: str, work: Callable[..., Any]) -> None:
        """Refuse what another process cannot find by its name."""
        qualified = getattr(work, "__qualname__", "")
        if "<" in qualified:
            raise NotRemote(
                f"work of {name!r} must be importable to run in a process, got {qualified}",
                "define the function at the top of a module",
            )

    def _submit(self, *call: Any) -> Future[Any]:
        with self._lock:
            try:
                return self.executor.submit(*call)
            except BrokenProcessPool:
                self._replace()
                return self.executor.submit(*call)

    def _replace(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = self._pool()

    def close(self) -> None:
        """End the processes."""
        if self.here is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)


def place_of(executor: Executor | str, workers: int) -> Place:
    """Find where work runs.

    Raises:
        WrongDeclaration: No slot at all, or an executor nobody knows.
    """
    if not workers >= 1:
        raise WrongDeclaration(
            f"workers must be at least 1, got {workers!r}", "with none every step waits for ever"
        )
    if executor == "threads":
        return Place()
    if executor == "processes":
        return InProcesses(workers)
    if callable(getattr(executor, "submit", None)):
        assert not isinstance(executor, str), "text has no submit"
        return OnExecutor(executor)
    raise WrongDeclaration(
        f"executor must be 'threads', 'processes' or have submit(), got {executor!r}",
        "Dask's is Client.get_executor(); ours for Celery is CeleryExecutor",
    )
