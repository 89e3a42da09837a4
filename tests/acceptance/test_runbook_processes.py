"""What runbooks tell a person to type at the processes of `rollout up`, typed at real ones."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.test_up import Up
from tests.docs.runbook_steps import PAGES, Where, blocks
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

STARTED = ("controller", "legacy", "concurrent")
"""What `rollout up` starts without settings; a shadow worker only with `shadow_concurrency`."""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A folder whose processes are killed when the test is over."""
    plant = Up(tmp_path)
    yield plant
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(str(tmp_path)) and process.pid != os.getpid():
            process.kill()
            process.wait(30)


def typed(up: Up, line: str) -> str:
    """Type a line into bash in the plant's folder; what it printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", line],
        cwd=up.folder, env={**up.environment, "PATH": path},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


def restarted(up: Up, process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    """Ctrl-C, then the same command again."""
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert up.left() == []
    return up.start(120)


def test_each_step_at_the_processes_of_up_is_typed(up: Up) -> None:
    """Logs have words, a restart brings all back, a second controller stands by."""
    lines = list(dict.fromkeys(one.lines[0] for one in blocks(Where.PROCESSES)))
    left = set(lines)
    process = up.start(120)
    for line in [one for one in lines if one.startswith(("tail ", "df "))]:
        for name in STARTED if "NAME" in line else ("",):
            assert typed(up, line.replace("NAME", name)).strip(), line
        left.discard(line)

    left.discard("rollout controller")
    with (up.folder / "second.log").open("w") as log:
        second = subprocess.Popen(
            [sys.executable, "-m", "rollout", "controller"],
            cwd=up.folder,
            env={
                **up.environment,
                "ROLLOUT_METRICS_PORT": "0",
                "ROLLOUT_BROKER_URL": f"redis://localhost:{up.port}/0",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        wait_until(lambda: "standby: none" not in up.run("status").stdout, "one stands by", 60)
        second.send_signal(signal.SIGINT)
        second.wait(30)

    copies = next(one for one in lines if one.startswith("redis-cli "))
    left.discard(copies)
    if shutil.which("redis-cli") is not None:  # the operator's own tool; no wheel brings one
        typed(up, copies.replace("redis-cli", f"redis-cli -p {up.port}"))

    assert "rollout up -A shop" in left
    left.discard("rollout up -A shop")
    typed_settings = {
        setting
        for page in PAGES
        for setting in re.findall(r"`(ROLLOUT_\w+=\d+)`", page.read_text())
    }
    assert typed_settings == {"ROLLOUT_LEGACY_CONCURRENCY=2"}
    up.environment["ROLLOUT_LEGACY_CONCURRENCY"] = "2"
    process = restarted(up, process)
    assert "ctrl-C stops all" in up.said()
    job = "from shop import invoices; print(invoices.delay(customer_id=7).get(timeout=30))"
    assert typed(up, f'python -c "{job}"').strip() == "7"
    assert left == set()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_dead_child_of_up_is_started_again_by_itself(up: Up) -> None:
    """As restart.md says."""
    process = up.start(120)
    workers = [
        one for one in psutil.Process(process.pid).children() if "worker" in " ".join(one.cmdline())
    ]
    assert workers
    dead = workers[0]
    dead.kill()

    def again() -> bool:
        alive = psutil.Process(process.pid).children()
        return dead.pid not in [one.pid for one in alive] and len(
            [one for one in alive if "worker" in " ".join(one.cmdline())]
        ) == len(workers)

    wait_until(again, "the worker runs again", 60)
    process.send_signal(signal.SIGINT)
    process.wait(60)
