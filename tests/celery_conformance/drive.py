"""Runs every case in one mode: `python -m tests.celery_conformance.drive FOLDER [case ...]`.

Started by `modes.observe` with the environment that `shop.py` reads. It is the producer and starts
the worker; what was seen is written to `seen.json`.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from rollout.adapters.celery.install import pipelines_of
from rollout.routing.stages import Event
from tests.celery_conformance.caller import Caller
from tests.celery_conformance.cases import CASES
from tests.celery_conformance.shop import MODE, app, tasks

SNAPSHOT_S = 0.02


def main() -> None:
    """Run the cases and write what they saw."""
    folder = Path(sys.argv[1])
    only = sys.argv[2:] or list(CASES)
    pipelines = {one.name: one for one in pipelines_of(app).values()}
    if MODE != "bare":
        _open(pipelines)
    queues = ["celery", *(f"{name}.legacy" for name in pipelines)]
    if MODE != "kill":
        queues += [f"{name}.concurrent" for name in pipelines]
    worker = _worker(folder, queues)
    try:
        _until_ready(folder, worker)
        seen = {name: _run(name, folder, pipelines) for name in only}
        (folder / "seen.json").write_text(json.dumps(seen, default=repr))
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()


def _run(name: str, folder: Path, pipelines: dict[str, Any]) -> dict[str, Any]:
    changes = next(iter(pipelines.values())).runtime.changes if pipelines else None
    killed: list[str] = []

    def after(task: str) -> None:
        if changes is not None and MODE == "kill" and not killed:
            changes.kill(None, "conformance", "every job that waits goes to legacy")
            killed.append(task)

    caller = Caller(name, app, tasks, folder, after)
    started = time.monotonic()
    try:
        said = CASES[name](caller)
    except Exception as error:
        said = ["the case raised", type(error).__name__, str(error)[:300]]
    if changes is not None and killed:
        changes.rearm(None, "conformance", "the next case")
        time.sleep(2 * SNAPSHOT_S)
    return {
        "said": said,
        "backend": _backend(caller.ids),
        "ledger": _ledger(caller.ids, pipelines),
        "s": time.monotonic() - started,
    }


def _ledger(ids: list[str], pipelines: dict[str, Any]) -> list[str]:
    """The outcomes that the ledger has of these jobs."""
    found = []
    for job_id in ids if MODE != "bare" else ():
        ledger = next(iter(pipelines.values())).ledger
        deadline = time.monotonic() + 5
        while not (state := ledger.job(job_id).state).finished and time.monotonic() < deadline:
            time.sleep(0.05)
        found.append(str(state))
    return found


def _backend(ids: list[str]) -> list[Any]:
    found = []
    for job_id in ids if app.conf.result_backend[:4] in ("redi", "db+s") else ():
        meta = app.backend.get_task_meta(job_id)
        kept = {
            name: repr(meta.get(name))
            for name in ("status", "result", "name", "args", "kwargs", "retries", "parent_id")
        }
        kept["children"] = str(len(meta.get("children") or []))
        kept["traceback"] = str(bool(meta.get("traceback")))
        found.append(kept)
    return found


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


def _worker(folder: Path, queues: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.celery_conformance.shop", "worker",
         "-Q", ",".join(queues), "-l", "INFO", "--without-mingle", "--without-gossip",
         "-n", "w@conformance", *os.environ["CONFORMANCE_POOL"].split()],
        stdout=(folder / "worker.log").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def _until_ready(folder: Path, worker: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and worker.poll() is None:
        if b"ready." in (folder / "worker.log").read_bytes():
            return
        time.sleep(0.1)
    raise RuntimeError((folder / "worker.log").read_text()[-2000:])


if __name__ == "__main__":
    main()
