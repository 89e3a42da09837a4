"""Logs of real Celery workers with a planted lock, a planted pool of three, and nothing planted."""

import subprocess
import sys
from pathlib import Path
from random import Random
from time import sleep

import pytest
from celery import Celery

from rollout.adapters.audit_files import read_files
from rollout.audit.audit import Audit, audit
from rollout.audit.findings import SHARED, Kind
from rollout.audit.verdict import Advice
from tests.waiting import wait_until

# `alone`: it measures waits of milliseconds, which a busy machine hides.
pytestmark = [pytest.mark.acceptance, pytest.mark.alone, pytest.mark.timeout(300)]

APP = '''
import fcntl, os, random, time
from pathlib import Path
from celery import Celery
import rollout.audit

app = Celery("planted", broker=os.environ["BROKER"])
app.conf.task_default_queue = os.environ["QUEUE"]
app.conf.worker_prefetch_multiplier = 1
FOLDER = Path(os.environ["FOLDER"])
rollout.audit.record(app, FOLDER / "audit.jsonl")

def hold(slots, seconds):
    """Take one of some lock files, as a pool of connections does."""
    files = [(FOLDER / f"slot-{number}").open("w") for number in range(slots)]
    while True:
        for file in files:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            time.sleep(seconds)
            for one in files:
                one.close()
            return
        time.sleep(0.0005)

@app.task
def locked():
    hold(1, random.uniform(0.016, 0.024))

@app.task
def pooled():
    hold(3, random.uniform(0.06, 0.09))

@app.task
def free():
    time.sleep(random.uniform(0.04, 0.06))
'''


def said(answer: Audit) -> Kind | None:
    """What kind the first finding is of."""
    return answer.findings[0].kind if answer.findings else None


def tried(
    folder: Path, broker: str, task: str, concurrency: int, rates: tuple[float, float], kind: Kind
) -> tuple[Audit, Audit]:
    """`audited`, once more where neither log names the kind.

    What holds jobs up here are locks of milliseconds: on a machine that is short of processors the
    worker waits for those instead, and an audit rightly says nothing of locks.
    """
    answers = audited(folder, broker, task, concurrency, rates, 600)
    if kind not in {said(answer) for answer in answers}:
        (folder / "audit.jsonl").unlink()
        answers = audited(folder, broker, task, concurrency, rates, 600)
    return answers


def audited(
    folder: Path, broker: str, task: str, concurrency: int, rates: tuple[float, float], jobs: int
) -> tuple[Audit, Audit]:
    """Run a worker on jobs in waves; the audits of its log and of the recorder's lines."""
    (folder / "planted.py").write_text(APP)
    queue = f"audit-{task}"
    environment = {
        "BROKER": broker, "QUEUE": queue, "FOLDER": str(folder),
        "PYTHONPATH": f"{folder}:{Path.cwd()}",
        "PATH": "/usr/bin:/bin", "C_FORCE_ROOT": "1",
    }  # fmt: skip
    file = folder / "worker.log"
    command = [
        sys.executable, "-m", "celery", "-A", "planted", "worker", "--loglevel", "INFO",
        "--concurrency", str(concurrency), "--without-mingle", "--without-gossip",
    ]  # fmt: skip
    with file.open("wb") as output:
        worker = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: " ready." in file.read_text(), "the worker is ready", 60)
        client = Celery("client", broker=broker)
        random = Random(1)
        for number in range(jobs):
            client.send_task(f"planted.{task}", queue=queue)
            phase = number % 60 / 60
            sleep(random.expovariate(rates[0] if phase < 0.5 else rates[1]))
        wait_until(lambda: file.read_text().count("succeeded in") == jobs, "all jobs are done", 60)
        client.close()
    finally:
        worker.terminate()
        worker.wait(30)
    return audit(read_files([file])), audit(read_files([folder / "audit.jsonl"]))


def test_a_real_lock_is_named(tmp_path: Path, valkey_url: str) -> None:
    """Six processes and one lock file."""
    for answer in tried(tmp_path, valkey_url, "locked", 6, (20, 60), Kind.LOCK):
        assert said(answer) is Kind.LOCK
        assert answer.verdict.advice is Advice.UNLOCK


def test_a_real_pool_of_three_is_named(tmp_path: Path, valkey_url: str) -> None:
    """Ten processes and three lock files."""
    for answer in tried(tmp_path, valkey_url, "pooled", 10, (15, 55), Kind.POOL):
        assert said(answer) is Kind.POOL
        assert round(answer.findings[0].values["holds"]) == 3


def test_a_real_healthy_worker_is_called_healthy(tmp_path: Path, valkey_url: str) -> None:
    """Eight processes with room to spare."""
    for answer in audited(tmp_path, valkey_url, "free", 8, (15, 50), 500):
        assert not SHARED & {one.kind for one in answer.findings}
        assert answer.verdict.healthy
