"""Runs every case in one mode: `python -m tests.celery_conformance.drive FOLDER [case ...]`.

Started by `modes.observe` with the environment that `shop.py` reads. It is the producer, starts the
worker and listens to the events; what was seen is written to `observed.json`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import celery.events.dispatcher
import celery.events.receiver  # noqa: F401  # two threads that import them by chance at once deadlock

from rollout.adapters.celery.install import pipelines_of
from rollout.errors import UnknownJob
from rollout.jobs.claims import JobState
from rollout.routing.stages import Event
from tests.celery_conformance.caller import Caller
from tests.celery_conformance.cases import CASES
from tests.celery_conformance.notes import PATIENCE_S, note
from tests.celery_conformance.shop import MODE, app, tasks
from tests.celery_conformance.waves import Wave, run_in_waves

SNAPSHOT_S = 0.02
PROBE = "conformance-probe"
SETTLE_S = 0.4
"""What must not happen any more would happen in this time after the last job."""


def main() -> None:
    """Run the cases and write what they saw."""
    folder = Path(sys.argv[1])
    cases = sys.argv[2:] or list(CASES)
    app.set_default()  # also in the threads of the cases
    _ = app.backend.get_task_meta  # imported before there are threads
    pipelines = {one.name: one for one in pipelines_of(app).values()}
    queues = [app.conf.task_default_queue, *(f"{name}.legacy" for name in pipelines)]
    if MODE != "kill":
        queues += [f"{name}.concurrent" for name in pipelines]
    worker = _worker(folder, queues)
    monitor = Monitor()
    try:
        if MODE != "bare":
            _open(pipelines)
        _until_ready(folder, worker)
        monitor.start()
        observed = _run_all(cases, folder, pipelines)
        _until_idle(queues)
        time.sleep(SETTLE_S)
        monitor.catch_up()
    finally:
        monitor.stop()
        worker.terminate()
        try:
            worker.wait(60)
        except subprocess.TimeoutExpired:
            worker.kill()
    (folder / "observed.json").write_text(json.dumps(observed, default=repr))


def _run_all(cases: list[str], folder: Path, pipelines: dict[str, Any]) -> dict[str, Any]:
    changes = next(iter(pipelines.values())).runtime.changes if pipelines else None

    def kill() -> None:
        assert changes is not None
        changes.kill(None, "conformance", "every job that waits goes to legacy")

    def rearm() -> None:
        if changes is not None and MODE == "kill":
            changes.rearm(None, "conformance", "the next cases")
            time.sleep(2 * SNAPSHOT_S)

    def run(name: str, wave: Wave) -> dict[str, Any]:
        return _run(name, folder, pipelines, wave)

    return run_in_waves(cases, run, kill if MODE == "kill" else None, rearm)


def _run(name: str, folder: Path, pipelines: dict[str, Any], wave: Wave) -> dict[str, Any]:
    caller = Caller(name, app, tasks, folder, wave)
    started = time.monotonic()
    try:
        answer = CASES[name](caller)
    except Exception as error:
        answer = ["the case raised", type(error).__name__, str(error)[:300]]
    return {
        "said": answer,
        "backend": _backend(caller.ids),
        "ledger": _ledger(caller.ids, pipelines),
        "s": time.monotonic() - started,
    }


def _ledger(ids: list[str], pipelines: dict[str, Any]) -> list[str]:
    """The outcomes that the ledger has of these jobs; a case that leaves one open waits in vain."""
    outcomes = []
    for job_id in ids if MODE != "bare" else ():
        ledger = next(iter(pipelines.values())).ledger
        deadline = time.monotonic() + PATIENCE_S
        while not (state := _state(ledger, job_id)).finished and time.monotonic() < deadline:
            time.sleep(0.05)
        outcomes.append(str(state))
    return outcomes


def _state(ledger: Any, job_id: str) -> JobState:
    try:
        state: JobState = ledger.jobs_of(job_id)[0].state
    except UnknownJob:
        return JobState.CANCELLED  # Celery refused to send it: what was said tells why
    return state


def _backend(ids: list[str]) -> list[Any]:
    kept = []
    stores = app.conf.result_backend.startswith(("redis:", "db+sqlite:"))
    for job_id in ids if stores else ():
        meta = _meta(job_id)
        names = ("status", "result", "name", "args", "kwargs", "retries", "parent_id")
        kept.append({
            **{name: repr(meta.get(name)) for name in names},
            "children": str(len(meta.get("children") or [])),
            "traceback": str(bool(meta.get("traceback"))),
        })  # fmt: skip
    return kept


def _meta(job_id: str) -> Any:
    """What the backend has of a job; one that is written right now is read again.

    A worker marks a job as retried after its next message has left: the end may come before.
    """
    for _ in range(20):
        # Celery's database backend reads state and result one after the other.
        with suppress(TypeError):
            meta = app.backend.get_task_meta(job_id)
            if meta.get("status") != "RETRY":
                return meta
        time.sleep(0.1)
    return app.backend.get_task_meta(job_id)


class Monitor:
    """Sees the events of the jobs that callers sent, as Flower does."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._hears = threading.Event()

    def start(self) -> None:
        """Listen from now on: until an event is heard, because a broker subscribes in its time."""
        self._thread.start()
        self._probe()

    def catch_up(self) -> None:
        """Hear what was sent until now: events come in the order in which they were sent."""
        self._hears.clear()
        self._probe()

    def _probe(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with app.events.default_dispatcher() as dispatcher:
            while not self._hears.wait(0.1):
                assert time.monotonic() < deadline, "no event is heard"
                dispatcher.send(PROBE)

    def stop(self) -> None:
        """Hear no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _listen(self) -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": self._note})
            with receiver.consumer_context() as (listening, _, _):
                while not self._stop.is_set():
                    try:
                        listening.drain_events(timeout=0.3)
                    except TimeoutError:
                        continue

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == PROBE:
            self._hears.set()
        case = str(event.get("uuid", "")).partition("/")[0]
        # Whether a job is received before it is revoked, or after, is chance.
        chance = case.startswith("revoked") and event["type"] == "task-received"
        if case in CASES and not chance:
            note(case, "event", event["type"])


def _open(pipelines: dict[str, Any]) -> None:
    """Send every job to the concurrent path, or none."""
    for name, one in pipelines.items():
        runtime = one.runtime
        runtime.control.beat("conformance", timedelta(minutes=20))
        one.submit.ensure(name, one.effects, one.holdback_bp)
        if MODE == "legacy":
            runtime.changes.project([runtime.ledger.control(name)])
            continue
        runtime.changes.change(name, Event.START, "conformance", "")
        runtime.changes.change(name, Event.SCOPE, "conformance", "", scope_bp=10_000)
    time.sleep(2 * SNAPSHOT_S)


def _until_idle(queues: list[str]) -> None:
    """Wait until the worker has done what was sent, also what no case has waited for."""
    inspect = app.control.inspect(timeout=PATIENCE_S, limit=1)
    deadline = time.monotonic() + PATIENCE_S
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        while time.monotonic() < deadline:
            waiting = sum(client.llen(queue) for queue in queues)
            if not waiting and not any((inspect.active() or {"nobody answers": [1]}).values()):
                return
            time.sleep(0.1)


def _worker(folder: Path, queues: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.celery_conformance.shop", "worker",
         "-Q", ",".join(queues), "-l", "INFO", "-E", "--without-mingle", "--without-gossip",
         "-n", "w@conformance", *os.environ["CONFORMANCE_POOL"].split()],
        stdout=(folder / "worker.log").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def _until_ready(folder: Path, worker: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and worker.poll() is None:
        if b"ready." in (folder / "worker.log").read_bytes():
            return
        time.sleep(0.1)
    raise RuntimeError((folder / "worker.log").read_text()[-2000:])


if __name__ == "__main__":
    main()
