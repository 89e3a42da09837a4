"""The Celery task of a sub-pipeline's shadows: a plain worker on `<name>.shadow` runs it.

Its message is acknowledged at the start: a shadow that dies is counted and never run again.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from billiard import current_process
from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Task
from celery.worker.request import Request
from celery.worker.state import task_ready

from rollout.log import log
from rollout.shadow.copies import Trouble
from rollout.shadow.ports import ShadowPaths

if TYPE_CHECKING:  # a shadow worker's part: it is built from the settings, at its first run
    from rollout.shadow.runs import ShadowRuns

NICE = 10
"""Shadows give way to legacy when both want one processor."""


class Shadowing(ShadowPaths, Protocol):
    """The declared sub-pipeline, as far as its shadow worker needs it."""

    @property
    def shadow_runs(self) -> "ShadowRuns":
        """Runs shadows in this process."""
        ...

    @property
    def shadow_memory_mb(self) -> int:
        """Memory that a shadow may take on top of its process; 0 is any."""
        ...


class ShadowTask(Task):
    """Runs one copy; its result is nobody's."""

    abstract = True
    pipeline: Shadowing
    ignore_result = True
    acks_late = False
    # A path that asks Celery for a retry gets the error of one that has no more of them.
    max_retries = 0
    serializer = "json"
    Request = "rollout.adapters.celery.shadow:ShadowRequest"

    def run(self, copy: Any = None) -> None:
        """Run the copy's path and compare; see `shadow.runs`."""
        pipeline = self.pipeline
        with confined(pipeline.shadow_memory_mb):
            pipeline.shadow_runs.run(pipeline, copy, self.request.id)


@contextmanager
def confined(memory_mb: int) -> Iterator[None]:
    """Give way to others, and let allocations beyond the limit fail; in a pool's child only.

    The limit is on the process's address space, as large as it is now plus `memory_mb`. Where the
    kernel itself runs out of memory, this process is the first that it ends.
    """
    if current_process().name == "MainProcess":
        yield
        return
    _give_way()
    if not memory_mb:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _address_space_bytes() + memory_mb * 1024 * 1024
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


_given_way: set[int] = set()


def _give_way() -> None:
    """Once per process: a lower priority, and the kernel's first choice when memory runs out."""
    if os.getpid() in _given_way:
        return
    _given_way.add(os.getpid())
    os.nice(NICE)
    # Linux only, and forbidden in some containers; the memory limit does not depend on it.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux: what it has used so far stands for what it has now
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


class ShadowRequest(Request):
    """Counts a shadow whose process is lost, in the worker's main process."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Handle the end of a shadow whose process is gone, or of one that is a defect."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, TimeLimitExceeded):
            return self._lost(Trouble.TIME_LIMIT)
        if isinstance(error, WorkerLostError | SystemExit):
            return self._lost(Trouble.WORKER_LOST)
        if isinstance(error, MemoryError):
            return self._lost(Trouble.MEMORY)
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Leave a hard limit to `on_failure`: nobody waits for a shadow's result."""
        if soft:
            super().on_timeout(soft, timeout)

    def _lost(self, trouble: Trouble) -> None:
        task_ready(self)
        pipeline = self.task.pipeline
        log.warning("shadow lost", run=self.id, why=str(trouble))
        pipeline.shadow_runs.lost(pipeline, self.id, trouble)
