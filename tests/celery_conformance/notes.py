"""What bodies, hooks, signals and monitors saw: files that all processes of one run append to."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

PATIENCE_S = 120
"""Longest wait for what has to happen, on a machine that has other things to do."""
PAUSE_S = 0.05
"""Between two looks: a dozen cases look at once."""


def note(case: Any, *words: Any) -> None:
    """Append a line; `case` is its name, or the keyword arguments that hold it."""
    name = case.get("case", "") if isinstance(case, dict) else case
    path = _file(Path(os.environ.get("CONFORMANCE_FOLDER", ".")), str(name))
    with path.open("a") as file:
        file.write(json.dumps(words, default=repr) + "\n")


def wait_for_words(folder: Path, case: str, *words: str) -> None:
    """Wait until somebody has written lines that begin with these words, each as often as given.

    Raises:
        AssertionError: Nobody did. A case that waits in vain shows nothing, and costs two minutes.
    """

    def written() -> bool:
        return Counter(words) <= Counter(line[0] for line in read_notes(folder, case))

    wait_until(written, f"{words} are in the notes of {case}", PATIENCE_S, PAUSE_S)


def read_notes(folder: Path, case: str) -> list[list[Any]]:
    """The lines of a case, in an order that does not depend on which process was first."""
    path = _file(folder, case)
    text = path.read_text() if path.exists() else ""
    return sorted((json.loads(line) for line in text.splitlines()), key=repr)


def _file(folder: Path, case: str) -> Path:
    plain = "".join(letter if letter.isalnum() else "_" for letter in case)
    return folder / f"notes-{plain[:80]}.jsonl"
