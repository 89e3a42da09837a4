"""One job's way, step by step: JSON objects, one a line, only ever appended."""

import json
from datetime import datetime
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: `json.dumps` with separators makes one each time, and each job writes three lines."""


def step(at: datetime, what: str, **facts: Any) -> str:
    """Write one line of a job's way; facts that are None are left out."""
    line = {"at": at.isoformat(timespec="milliseconds"), "what": what}
    line |= {name: value for name, value in facts.items() if value is not None}
    return _ENCODER.encode(line) + "\n"


def read_way(way: str) -> list[dict[str, Any]]:
    """Read all lines, oldest first."""
    return [json.loads(line) for line in way.splitlines()]
