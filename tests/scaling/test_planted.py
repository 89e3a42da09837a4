"""`rollout scale-test` with real workers: each truth that is planted is found."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from rollout.cli.app import app
from rollout.cli.exit_codes import ExitCode
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PLANT = "tests.scaling.plant"
# Starting four workers takes ten seconds on a busy machine, and three rounds need some more.
SECONDS = "25"
pytestmark = pytest.mark.acceptance


@pytest.fixture
def folder(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; the workers find the plant, and the project."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PLANT_FOLDER", str(no_settings))
    return no_settings


def file_of(folder: Path, *kinds: str) -> str:
    """Recorded inputs."""
    file = folder / "inputs.jsonl"
    file.write_text("".join(json.dumps({"args": [kind]}) + "\n" for kind in kinds))
    return str(file)


def scaled(folder: Path, kind: str, workers: int, seconds: str = SECONDS) -> Any:
    """What the program says, as JSON."""
    began = time.monotonic()
    words = ["scale-test", "work", "-A", PLANT, "--inputs", file_of(folder, kind), "--json"]
    done = CliRunner().invoke(app, [*words, "--workers", str(workers), "--seconds", seconds])
    assert done.exit_code == 0, done.output
    assert time.monotonic() - began < float(seconds) + 20
    return json.loads(done.stdout)


@pytest.mark.alone
def test_waiting_for_a_service_that_lets_all_in_scales(folder: Path) -> None:
    """Four workers that sleep do four times as much, however busy the machine is."""
    page = scaled(folder, "sleep", 4)
    assert page["verdict"] == "keep buying", page
    assert [one["many"] for one in page["doublings"]] == [2, 4]
    assert all(1.7 < one["ratio"] < 2.2 for one in page["doublings"])
    took = page["took"]
    assert took["jobs"] > 50
    assert took["cpu_s"] > 1
    assert took["memory_bytes"] > 4 * 20_000_000
    assert took["seconds"] <= float(SECONDS) + 5


@pytest.mark.alone
def test_one_lock_is_found(folder: Path) -> None:
    """A second worker buys nothing, while the cores are idle; the call it waits in is named."""
    page = scaled(folder, "lock", 2)
    assert page["verdict"] == "flat", page
    assert page["limit"]["what"] == "one lock"
    assert "flock" in page["limit"]["sentence"]


@pytest.mark.alone
def test_a_pool_of_three_is_found(folder: Path) -> None:
    """It lets three through, whoever asks."""
    page = scaled(folder, "pool", 8, "45")
    assert page["verdict"] == "flat", page
    assert page["limit"]["what"] == "a pool"
    assert page["limit"]["at_once"] == pytest.approx(3, abs=0.5)


@pytest.mark.alone
def test_few_cores_are_found(folder: Path) -> None:
    """Two workers that compute on one core do as much as one."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        page = scaled(folder, "compute", 4)
    finally:
        os.sched_setaffinity(0, allowed)
    assert page["cores"] == 1
    assert page["limit"]["what"] == "cpu", page
    assert page["limit"]["busy_cores"] <= 1.1
    # Beside others on this core more workers get a larger share of it, and no more cores.
    assert page["verdict"] != "keep buying"


@pytest.mark.parametrize(("kind", "words"), [("die", "killed its process"), ("hang", "no result")])
def test_a_job_that_dies_or_hangs_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    """Nothing is said then, but why."""
    monkeypatch.setenv("ROLLOUT_SHADOW_LIMIT_S", "1")
    page = scaled(folder, kind, 2, "5")
    assert page["verdict"] == "not enough to say"
    assert words in page["sentence"]


def test_jobs_that_raise_are_counted(folder: Path) -> None:
    """A path that fails quickly is no fast path."""
    page = scaled(folder, "raise", 1, "10")
    assert page["levels"][0]["failed"] > 10


def test_what_cannot_be_run_is_refused(folder: Path) -> None:
    """No inputs; effects that touch the world."""
    runner = CliRunner()
    words = ["scale-test", "-A", PLANT, "--inputs"]
    nothing = runner.invoke(app, [*words, file_of(folder), "work"])
    assert nothing.exit_code == ExitCode.REFUSED
    assert "must tell what a job was given of work" in nothing.stderr
    unsafe = runner.invoke(app, [*words, file_of(folder, "sleep"), "unsafe"])
    assert unsafe.exit_code == ExitCode.REFUSED


def test_ctrl_c_leaves_no_process(folder: Path) -> None:
    """Also none that hangs in a job."""
    words = ["scale-test", "work", "-A", PLANT, "--inputs", file_of(folder, "sleep")]
    process = subprocess.Popen(
        [sys.executable, "-m", "rollout", *words, "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mine = psutil.Process(process.pid)
    wait_until(lambda: len(mine.children()) == 2, "both workers run", 60)
    workers = mine.children()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    wait_until(lambda: not any(one.is_running() for one in workers), "no worker is left", 10)
