"""Who listens, and what still hangs after a kill: asked of a real worker."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rollout.adapters.celery import workers
from tests.shells.conftest import House
from tests.waiting import wait_until

AS_A_PERSON_WAITS_S = workers.ANSWER_S
"""The house does not wait for workers, as it has none."""
APP = """
import time
from celery import Celery
from rollout import SubPipeline

app = Celery("shop", broker={broker!r}, set_as_current=False)
invoices = SubPipeline("invoices", app=app, effects="none")


@invoices.legacy
def one_by_one():
    return 1


@invoices.concurrent
def hangs():
    time.sleep(600)
"""


@contextmanager
def worker(house: House, module: str, *queues: str) -> Iterator[psutil.Process]:
    """A worker of one process that listens on these queues."""
    command = [sys.executable, "-m", "celery", "-A", module, "worker", "-Q", ",".join(queues)]
    log = (house.folder / "worker.log").open("wb")
    started = subprocess.Popen(
        [*command, "-c", "1", "-n", "w1@here", "-l", "INFO", "--without-mingle"],
        cwd=house.folder,
        env={**os.environ, "C_FORCE_ROOT": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    process = psutil.Process(started.pid)
    try:
        wait_until(
            lambda: b"ready" in (house.folder / "worker.log").read_bytes(), "the worker listens", 60
        )
        yield process
    finally:
        for one in [*process.children(recursive=True), process]:
            one.kill()
        started.wait(30)
        log.close()


@pytest.fixture
def shop(house: House, valkey: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An app in the folder, with a queue prefix of its own by its sub-pipeline's name."""
    monkeypatch.setattr(workers, "ANSWER_S", AS_A_PERSON_WAITS_S)
    module = f"shop_{abs(hash(house.folder))}"
    Path(f"{module}.py").write_text(APP.format(broker=valkey))
    return module


def submit(house: House, module: str) -> str:
    """Submit a job as a producer does, in a process of its own."""
    code = f"import {module}; print({module}.invoices.delay().id)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=house.folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def runs(house: House, job_id: str) -> bool:
    """Whether the job runs; the controller goes on meanwhile, or its start would go to legacy."""
    house.tick()
    return bool(house.json("job", job_id)["state"] == "started")


def test_who_listens_and_what_hangs_after_a_kill(house: House, shop: str) -> None:
    """Queues without a worker are named; a killed hanging job is named with its process."""
    missing = "no worker listens on queue invoices."
    house.run("start", "invoices")
    house.run("scope", "invoices", "9500")
    house.tick()
    with worker(house, shop, "invoices.concurrent") as process:
        assert b"'invoices' has no time limit" in (house.folder / "worker.log").read_bytes()
        findings = {one["what"]: one["found"] for one in house.json("doctor")["findings"]}
        assert f"{missing}legacy" in findings["workers"]
        assert f"{missing}concurrent" not in findings["workers"]
        house.run("revert", "invoices", "--reason", "x")
        begun = house.run("start", "invoices")
        assert f"{missing}legacy" in begun.stderr
        assert f"{missing}concurrent" not in begun.stderr
        house.run("scope", "invoices", "9500")
        house.tick()
        job_id = submit(house, shop)
        wait_until(
            lambda: runs(house, job_id),
            "the job runs on the concurrent path",
            30,
        )
        (child,) = process.children()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 5.5, "the job runs for long", 30)
        killed = " ".join(house.run("kill", "invoices", "--reason", "it hangs").stdout.split())
        assert "running jobs 1 abandoned; legacy runs them again still runs process" in killed
        assert f"process {child.pid} of worker w1@here still runs job {job_id}" in killed
        assert f"`kill -9 {child.pid}`" in killed

        def hanging() -> list[dict[str, object]]:
            found: list[dict[str, object]] = house.json("status")["hanging"]
            return found

        wait_until(lambda: bool(hanging()), "the hanging process is named", 30)
        (one,) = hanging()
        assert (one["job_id"], one["pid"], one["worker"]) == (job_id, child.pid, "w1@here")
        for command in ("status", "doctor", "why invoices"):
            said = " ".join(house.run(*command.split()).stdout.split())
            assert f"process {child.pid} of worker w1@here still runs job {job_id}" in said, command
            assert f"`kill -9 {child.pid}`" in said, command
