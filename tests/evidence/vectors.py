"""The deterministic vectors of the methods, read from the JSON files beside this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def _read(name: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text())
    return vectors


VECTORS = _read("vectors.json")
"""Those of the revert tests; the file names its source."""

BUDGET_VECTORS = _read("budget_vectors.json")
"""Those of promotion by harm budget; the file names its source."""


def ticks(vector: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """Spell out the ticks of a sequence, each (n_new, k_new, n_old, k_old)."""
    once = [tuple(tick) for times, tick in vector["blocks"] for _ in range(times)]
    return once * int(vector.get("repeat", 1))
