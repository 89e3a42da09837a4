"""The program itself: help, version, exit codes, and a quick start."""

import subprocess
import sys

from rollout import __version__
from rollout.cli.exit_codes import MEANINGS, ExitCode
from tests.shells.conftest import House


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_shows_the_exit_codes() -> None:
    """`rollout --help` names each exit code."""
    result = run("-m", "rollout", "--help")
    assert result.returncode == 0
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in result.stdout
    assert set(MEANINGS) == set(ExitCode)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_needs_no_heavy_import() -> None:
    """The program starts quickly because it imports no server's client to show its help."""
    heavy = "{'celery', 'kombu', 'sqlalchemy', 'alembic', 'redis', 'pydantic', 'structlog'}"
    code = f"import sys, rollout.cli; sys.exit(' '.join({heavy} & set(sys.modules)) or None)"
    result = run("-c", code)
    assert (result.stderr.strip(), result.returncode) == ("", 0)


def test_version(house: House) -> None:
    """`rollout --version` says which release answers."""
    result = house.run("--version")
    assert (result.exit_code, result.stdout) == (0, f"rollout {__version__}\n")


def test_unknown_command(house: House) -> None:
    """A command that does not exist is a usage error."""
    assert house.run("stauts").exit_code == ExitCode.USAGE


def test_error_in_a_process(house: House) -> None:
    """The exit code and the two lines reach the shell."""
    result = run("-m", "rollout", "start", "invoice")
    assert result.returncode == ExitCode.REFUSED
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: no sub-pipeline named 'invoice', did you mean 'invoices'?",
        "hint: `rollout status` lists all",
    ]


def test_kill_in_a_process(house: House) -> None:
    """The switch works from a shell, and its exit code is that of both halves."""
    result = run("-m", "rollout", "kill", "invoices", "--reason", "totals are wrong")
    assert result.returncode == ExitCode.FINE, result.stderr
    assert "commits fenced  yes" in result.stdout
    assert "\x1b" not in result.stdout
