"""What bodies, hooks, signals and monitors saw: files that all processes of one run append to."""

import json
import os
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 120
"""Longest wait for what has to happen, on a machine that has other things to do."""


def note(case: Any, *words: Any) -> None:
    """Append a line; `case` is its name, or the keyword arguments that hold it."""
    name = case.get("case", "") if isinstance(case, dict) else case
    path = _file(Path(os.environ.get("CONFORMANCE_FOLDER", ".")), str(name))
    with path.open("a") as file:
        file.write(json.dumps(words, default=repr) + "\n")


def wait_for_words(folder: Path, case: str, *words: str) -> None:
    """Wait until somebody has written lines that begin with these words."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if set(words) <= {line[0] for line in read_notes(folder, case)}:
            return
        time.sleep(0.05)


def read_notes(folder: Path, case: str) -> list[list[Any]]:
    """The lines of a case, in an order that does not depend on which process was first."""
    path = _file(folder, case)
    text = path.read_text() if path.exists() else ""
    return sorted((json.loads(line) for line in text.splitlines()), key=repr)


def _file(folder: Path, case: str) -> Path:
    plain = "".join(letter if letter.isalnum() else "_" for letter in case)
    return folder / f"notes-{plain[:80]}.jsonl"
