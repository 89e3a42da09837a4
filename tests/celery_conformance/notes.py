"""A file that all processes of one run append to: what bodies, hooks and signals saw."""

import json
import os
from pathlib import Path
from typing import Any


def note(case: Any, *words: Any) -> None:
    """Append a line; `case` is its name, or the keyword arguments that hold it."""
    name = case.get("case", "") if isinstance(case, dict) else case
    line = json.dumps([name, *words], default=repr) + "\n"
    path = Path(os.environ.get("CONFORMANCE_FOLDER", ".")) / "notes.jsonl"
    with path.open("a") as file:
        file.write(line)


def read_notes(folder: Path) -> dict[str, list[list[Any]]]:
    """The lines by case, in an order that does not depend on which process was first."""
    found: dict[str, list[list[Any]]] = {}
    for line in (folder / "notes.jsonl").read_text().splitlines():
        name, *words = json.loads(line)
        found.setdefault(name, []).append(words)
    return {name: sorted(lines, key=repr) for name, lines in found.items()}
