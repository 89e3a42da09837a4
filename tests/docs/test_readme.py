"""The README, run: its example is declared, and each of its commands is carried out."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
WORKER_LOG = "".join(
    f"[2026-11-26 11:20:{number:02d},500: INFO/ForkPoolWorker-1] Task shop.pay[{number}] "
    "succeeded in 0.25s: None\n"
    for number in range(40)
)
RUNS_ON = ("rollout up", "rollout controller", "celery")
"""Commands that run until they are stopped."""


class Newcomer:
    """A folder with the README's example in it, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        example = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
        assert example is not None, "the README has an example"
        port = str(free_port())
        (folder / "shop.py").write_text(example.group(1).replace("6379", port))
        for name in ("legacy.log", "concurrent.log"):  # the workers' logs of whoever reads it
            (folder / name).write_text(WORKER_LOG)
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "ROLLOUT_METRICS_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, command: str, until: str) -> None:
        """Start a command that runs on, and wait until it says this."""
        output = self.folder / f"output-{len(self.running)}.txt"
        with output.open("wb") as file:
            self.running.append(
                subprocess.Popen(
                    shlex.split(command),
                    cwd=self.folder,
                    env=self.environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
        wait_until(lambda: until in output.read_text(), f"{command} says {until}", 60)

    def run(self, command: str) -> str:
        """Run a command to its end; it must succeed."""
        words = shlex.split(command)
        folder = self.folder
        if words[0] == "make":  # the suite runs inside `make test`, and the demo has its own test
            words, folder = ["make", "-n", *words[1:]], ROOT
        done = subprocess.run(
            words,
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """Ctrl-C for all that runs on, the last first."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    """Somebody who follows the README in an empty folder."""
    made = Newcomer(tmp_path)
    yield made
    made.stop()


@pytest.mark.long
def test_every_command_of_the_readme_works(newcomer: Newcomer) -> None:
    """From `rollout up` to the workers of a pilot, in the README's order."""
    assert len(COMMANDS) >= 12
    for command in COMMANDS:
        if command.startswith("rollout up"):
            newcomer.start(command, "ctrl-C stops all")
        elif command.startswith("celery"):
            newcomer.start(command.replace("@%h", "-pilot@%h"), "[queues]")
        elif command.startswith("rollout controller"):
            newcomer.start(command, "controller started")
        else:
            said = newcomer.run(command)
            if command.startswith("python"):
                assert "3 lines written by the" in said
    assert {command.split()[0] for command in COMMANDS} == {"rollout", "python", "make", "celery"}


def test_the_readme_opens_as_a_stranger_needs_it() -> None:
    """Name and sentence, problem, example; what can go wrong comes before the start."""
    lines = TEXT.splitlines()
    assert lines[0] == "# rollout"
    assert lines[2].startswith("For platform teams on Celery")
    assert TEXT.index("```python") < TEXT.index("## What happens when it goes wrong")
    assert TEXT.index("## What happens when it goes wrong") < TEXT.index("## Start")
    for word in ("legacy", "concurrent", "scope"):
        assert word in "\n".join(lines[:32])


def test_every_path_named_in_the_readme_exists() -> None:
    """Links and files."""
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_no_placeholder_is_left() -> None:
    """Output is pasted from runs."""
    assert "@@" not in TEXT
