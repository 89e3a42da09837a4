"""Writes one JSON line per run, for `rollout audit`: what a worker log cannot tell.

    import rollout.audit
    rollout.audit.record(app)                    # audit.jsonl in the working folder

At the message door the time of submission goes into the message's headers, the worker adds when it
received it and how large it was, and the process that ran it writes the line at its end. Whatever
fails here is counted and swallowed: no job is harmed by being recorded. Measured: see
`tests/audit/test_recorder.py`, which holds it to 40 µs of CPU a job (15 to 25 measured).

`parents` is Celery's own: for a chain the task before, for a task that was sent from inside
another one the sender. `result_bytes` is known for texts and bytes only: to measure another result
is to serialise it a second time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from time import process_time, thread_time
from typing import Any

from celery import current_task, signals

from rollout.adapters.clock import SystemClock
from rollout.log import log

__all__ = ["record", "waiting"]

HEADER = "rollout_audit"
"""Message header with the time of submission."""
_RECEIVED = "rollout_audit_received"


class Recorder:
    """Handlers of one app's signals, and the file.

    Args:
        file: Appended to by all processes of this machine; a line is one write.
        clock: Wall and monotonic time.
    """

    def __init__(self, file: Path, clock: SystemClock) -> None:
        self._file = file
        self._clock = clock
        self._opened: int | None = None
        self._open: dict[str, list[Any]] = {}
        self.failures = 0

    def submitted(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        """Celery's `before_task_publish`: put the time into the message."""
        if headers is not None:
            headers[HEADER] = self._clock.now().timestamp()

    def received(self, request: Any = None, **_: Any) -> None:
        """Celery's `task_received`, in the worker's main process."""
        try:
            body = request.body
            size = len(body) if isinstance(body, (str, bytes)) else None
            request.request_dict[_RECEIVED] = [self._clock.now().timestamp(), size]
        except Exception as error:
            self._failed(error)

    def started(self, task_id: str = "", **_: Any) -> None:
        """Celery's `task_prerun`, in the process that runs it."""
        alone = threading.active_count() == 1
        cpu = process_time if alone else thread_time
        self._open[task_id] = [self._clock.now().timestamp(), cpu(), cpu, 0.0, None]

    def ended(
        self, task_id: str = "", task: Any = None, retval: Any = None, state: Any = None, **_: Any
    ) -> None:
        """Celery's `task_postrun`: write the line."""
        begun = self._open.pop(task_id, None)
        if begun is None:
            return
        try:
            started, cpu_then, cpu, waited, resource = begun
            request = task.request
            received = request.get(_RECEIVED) or (None, None)
            delivery = request.delivery_info or {}
            line = {
                "run_id": request.root_id or task_id,
                "step": task.name,
                "step_id": task_id,
                "queued_at": request.get(HEADER),
                "received_at": received[0],
                "started_at": started,
                "ended_at": self._clock.now().timestamp(),
                "status": (state or "").lower(),
                "queue": delivery.get("routing_key"),
                "worker": f"{request.hostname}:{os.getpid()}",
                "parents": request.parent_id,
                "payload_bytes": received[1],
                "result_bytes": len(retval) if isinstance(retval, (str, bytes)) else None,
                "cpu_s": round(cpu() - cpu_then, 6),
                "waited_s": round(waited, 6),
                "resource": resource,
            }
            self._write(dumps(line).encode() + b"\n")
        except Exception as error:
            self._failed(error)

    def waited(self, task_id: str, resource: str, seconds: float) -> None:
        """Add a wait to a run that is under way."""
        begun = self._open.get(task_id)
        if begun is not None:
            begun[3] += seconds
            begun[4] = resource

    def _write(self, line: bytes) -> None:
        if self._opened is None:
            # A forked child may share it: appends of one write do not mix.
            self._opened = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(self._opened, line)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            log.warning("a run could not be recorded", error=repr(error), file=str(self._file))

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None


_RECORDERS = "rollout_audit_recorder"
"""Name under which an app holds its recorder."""


def record(app: Any, file: str | Path = "audit.jsonl") -> Recorder:
    """Record every run of this app's workers, and when its producers submitted it.

    Call it where the app is made, so that producers and workers both do. A second call for the
    same app changes nothing.

    Args:
        app: Celery app.
        file: Where to write; one per machine.
    """
    known: Recorder | None = app.__dict__.get(_RECORDERS)
    if known is not None:
        return known
    recorder = Recorder(Path(file), SystemClock())
    app.__dict__[_RECORDERS] = recorder
    signals.before_task_publish.connect(recorder.submitted, weak=False)
    signals.task_received.connect(recorder.received, weak=False)
    signals.task_prerun.connect(recorder.started, weak=False)
    signals.task_postrun.connect(recorder.ended, weak=False)
    return recorder


@contextmanager
def waiting(resource: str) -> Iterator[None]:
    """Say what a run waits for: `with waiting("orders lock"): lock.acquire()`.

    Outside of a task, or without `record`, it does nothing.
    """
    clock = SystemClock()
    begin = clock.monotonic()
    try:
        yield
    finally:
        task = current_task
        recorder = task.app.__dict__.get(_RECORDERS) if task else None
        if recorder is not None:
            recorder.waited(task.request.id, resource, clock.monotonic() - begin)
