"""`rollout web` at a terminal: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 60
BLOCKED = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("fastapi", "starlette", "uvicorn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""Taken for `sitecustomize`, it makes an environment without the extra `web`."""


@contextmanager
def web(folder: Path, *words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a folder of its own; it does not outlive the block."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("ROLLOUT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "rollout", "web", *words],
        cwd=folder,
        env={**own, "COLUMNS": "400", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def lines_until(process: subprocess.Popen[str], word: str) -> dict[str, str]:
    """What it printed, by the first word of each line, up to the one that begins with `word`."""
    assert process.stdout is not None
    printed: dict[str, str] = {}
    while word not in printed:
        line = process.stdout.readline()
        assert line, f"it ended before {word!r}: {printed}"
        printed[line.split()[0]] = line.partition(" ")[2].strip()
    return printed


def test_the_first_screen_and_ctrl_c(tmp_path: Path) -> None:
    """Address, ledger and mode are told; without a ledger the page says so; ctrl-C is an end."""
    with web(tmp_path, "--port", "0", "--read-only") as process:
        printed = lines_until(process, "ready")
        assert printed["read-only"] == "page and API change nothing"
        assert printed["ledger"].startswith("NOT READ: the ledger at sqlite:///")
        assert "rollout migrate" in printed["ledger"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(printed["page"], timeout=PATIENCE_S)
        page = refused.value.read().decode()
        assert "<h1>Not shown</h1>" in page
        assert "Nothing was changed" not in page, "nobody tried to"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=PATIENCE_S)
    assert (rest.strip(), process.returncode) == ("stopped", 0)
    (warning,) = errors.splitlines()
    assert warning.startswith("warning: no setting and no app names the broker")


def test_a_port_in_use(tmp_path: Path) -> None:
    """Said in a sentence, with the option that takes another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with web(tmp_path, "--port", port) as process:
            printed, errors = process.communicate(timeout=PATIENCE_S)
    assert (printed, process.returncode) == ("", 1)
    assert f"error: page and API cannot listen on 127.0.0.1:{port}: Address already" in errors
    assert "--port" in errors


def test_without_the_extra(tmp_path: Path) -> None:
    """What to install is said, and no traceback."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    with web(tmp_path, "--port", "0", PYTHONPATH=str(tmp_path)) as process:
        printed, errors = process.communicate(timeout=PATIENCE_S)
    assert (printed, process.returncode) == ("", 1)
    assert "pip install 'celery-rollout[web]'" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "abc"], "--port"),
        (["--port", "99999"], "65535"),
        (["--host", "0.0.0.0"], "nobody has to sign in"),
        (["invoices"], "unexpected extra argument"),
    ],
)
def test_what_cannot_be_served(tmp_path: Path, words: list[str], says: str) -> None:
    """Wrong arguments end it before it listens."""
    with web(tmp_path, *words) as process:
        printed, errors = process.communicate(timeout=PATIENCE_S)
    assert printed == ""
    assert process.returncode in (1, 2)
    assert says in errors
    assert "Traceback" not in errors
