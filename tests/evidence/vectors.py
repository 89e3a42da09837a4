"""The deterministic vectors of the evidence method, read from `vectors.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text())
"""The file names its source."""


def ticks(vector: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """Spell out the ticks of a sequence, each (n_new, k_new, n_old, k_old)."""
    once = [tuple(tick) for times, tick in vector["blocks"] for _ in range(times)]
    return once * int(vector.get("repeat", 1))
