"""`rollout up` as a newcomer uses it: started, used, stopped, killed."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rollout.cli.exit_codes import ExitCode
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

APP = """
from celery import Celery
from rollout import SubPipeline

app = Celery("shop", broker="redis://localhost:{port}/0", backend="redis://localhost:{port}/1")
invoices = SubPipeline("invoices", app=app, effects="none", key="customer_id")


@invoices.legacy
def one_by_one(customer_id):
    return customer_id


@invoices.concurrent
def overlapped(customer_id):
    return customer_id
"""


class Up:
    """A folder with an app in it, and the program started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.metrics_port = free_port()
        (folder / "shop.py").write_text(APP.format(port=self.port))
        self.environment = {**os.environ, "ROLLOUT_METRICS_PORT": str(self.metrics_port)}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "rollout", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, within_s: float = 60) -> "subprocess.Popen[str]":
        """Start `rollout up` and wait until it says that it is ready."""
        self.output = (self.folder / "up.txt").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "rollout", "up", "-A", "shop"],
            cwd=self.folder,
            env=self.environment,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_until(lambda: "ctrl-C stops all" in self.said(), "it says ready", within_s)
        return process

    def said(self) -> str:
        """What it has printed."""
        return (self.folder / "up.txt").read_text()

    def left(self) -> list[str]:
        """Processes that were started in the folder and still live."""
        found = []
        for process in psutil.process_iter(["cwd", "cmdline", "status"]):
            cwd = process.info["cwd"] or ""
            ours = cwd.startswith(str(self.folder)) and process.pid != os.getpid()
            if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.info["cmdline"] or []))
        return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A folder whose processes are killed when the test is over."""
    made = Up(tmp_path)
    yield made
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(str(tmp_path)) and process.pid != os.getpid():
            process.kill()


def test_up_runs_jobs_and_ctrl_c_leaves_no_process(up: Up) -> None:
    """From an empty folder to a result, to metrics, to nothing left."""
    process = up.start()
    got = subprocess.run(
        [
            sys.executable,
            "-c",
            "from shop import invoices; print(invoices.delay(customer_id=7).get(timeout=30))",
        ],
        cwd=up.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert got.stdout.strip() == "7", got.stderr
    metrics = f"http://127.0.0.1:{up.metrics_port}/metrics"

    def counted() -> bool:
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            return b'rollout_jobs_total{assigned_path="legacy"' in answer.read()

    wait_until(counted, "the job is in the metrics", 20)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    up.output.close()
    assert "stopped" in up.said()
    wait_until(lambda: up.left() == [], f"nothing is left: {up.left()}", 10)


def test_killed_up_takes_its_processes_along(up: Up) -> None:
    """SIGKILL of the program itself leaves no worker, no controller and no server."""
    process = up.start()
    process.kill()
    process.wait(10)
    up.output.close()
    wait_until(lambda: up.left() == [], f"nothing is left: {up.left()}", 30)


def test_second_up_on_the_same_folder_is_refused(up: Up) -> None:
    """Two of them would fight over queues, logs and the embedded server."""
    process = up.start()
    second = up.run("up", "-A", "shop")
    assert second.returncode != 0
    assert "another `rollout up` runs" in second.stderr + second.stdout
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    up.output.close()


def test_up_says_what_is_wrong_with_the_app(up: Up) -> None:
    """A missing module, an app without sub-pipelines and no app at all are three clear errors."""
    missing = up.run("up", "-A", "nothing_here")
    assert missing.returncode != 0
    assert "no Celery app found in 'nothing_here'" in missing.stderr + missing.stdout
    (up.folder / "empty.py").write_text("from celery import Celery\napp = Celery('empty')\n")
    empty = up.run("up", "-A", "empty")
    assert empty.returncode != 0
    assert "declares no sub-pipeline" in empty.stderr + empty.stdout
    nameless = up.run("up")
    assert nameless.returncode != 0
    assert "needs the app" in nameless.stderr + nameless.stdout
    assert up.left() == []


def test_up_is_not_ready_when_a_worker_dies(up: Up) -> None:
    """An app that fails in the worker alone: the end of its log is shown, and nothing is left."""
    app = (up.folder / "shop.py").read_text()
    broken = (
        "\nimport sys\n\nif 'worker' in sys.argv:\n    raise RuntimeError('no invoices today')\n"
    )
    (up.folder / "shop.py").write_text(app + broken)
    found = up.run("up", "-A", "shop")
    assert found.returncode == ExitCode.UNANSWERED, found.stderr
    assert "ctrl-C stops all" not in found.stdout
    assert "died while it started; its log ends:" in found.stderr
    assert "RuntimeError: no invoices today" in found.stderr
    assert up.left() == []
