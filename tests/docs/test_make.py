"""Every test is run by a target of the Makefile, and `.ci/run` leaves out what it says."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__).resolve()
)


def commands(target: str) -> str:
    """What a target would do."""
    return subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def is_run(module: Path, *targets: str) -> bool:
    """Whether one of the targets is given the module, or a folder above it."""
    words = [word for target in targets for word in commands(target).split()]
    given = [ROOT / word for word in words if word.startswith("tests/")]
    return any(module.is_relative_to(path) for path in given)


def marked(word: str) -> list[Path]:
    """Modules of which some tests, or all, bear a mark."""
    return [path for path in MODULES if f"pytest.mark.{word}" in path.read_text()]


def of_whole(word: str) -> list[Path]:
    """Modules of which all tests bear a mark."""
    line = re.compile(rf"^pytestmark = .*pytest\.mark\.{word}\b", re.MULTILINE)
    return [path for path in MODULES if line.search(path.read_text())]


def test_tests_with_real_workers_are_run() -> None:
    """The targets name folders, because collecting all tests takes each process ten seconds."""
    apart = set(of_whole("alone"))
    workers = [path for path in marked("acceptance") if path not in apart]
    assert len(workers) > 10
    assert [path for path in workers if not is_run(path, "test-promises", "test-workers")] == []
    assert [path for path in marked("alone") if not is_run(path, "test-alone")] == []


@pytest.mark.parametrize(
    ("target", "word"), [("test-browser", "browser"), ("plants-quick", "plants")]
)
def test_tests_with_debians_programs_are_run(target: str, word: str) -> None:
    """Each in its own folder."""
    modules = marked(word)
    assert modules
    assert [path for path in modules if not is_run(path, target)] == []


def test_what_ci_runs_and_leaves_out() -> None:
    """Whatever tests is run, but what its first lines name."""
    text = (ROOT / ".ci" / "run").read_text()
    run = set(re.findall(r"^make ([\w-]+) ", text, re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", text))
    tests = set(re.findall(r"^(test[\w-]*|plants[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    parts = set(commands_of("test"))
    assert run | parts | named == tests | {"lint", "crash"}
    assert run.isdisjoint(named)


def commands_of(target: str) -> list[str]:
    """Targets that a target is made of."""
    found = re.search(rf"^{target}: ([\w -]+?) *##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None, target
    return found.group(1).split()
