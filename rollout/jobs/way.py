"""One job's way, step by step: JSON objects, one a line, only ever appended."""

import json
from datetime import datetime
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: `json.dumps` with separators makes one each time, and each job writes three lines."""


_ATTEMPT = '"attempt":'
"""It comes before any text from outside, in which the quotes would be escaped, too."""


def step(at: datetime, what: str, **facts: Any) -> str:
    """Write one line of a job's way; facts that are None are left out."""
    line = {"at": at.isoformat(timespec="milliseconds"), "what": what}
    line |= {name: value for name, value in facts.items() if value is not None}
    return _ENCODER.encode(line) + "\n"


def step_of_any_attempt(at: datetime, what: str, *, path: str, worker: str) -> tuple[str, str]:
    """Write a line with room for the attempt's number: what goes before and what after it."""
    before, after = step(at, what, path=path, attempt=0, worker=worker).split(_ATTEMPT + "0", 1)
    return before + _ATTEMPT, after


def read_way(way: str) -> list[dict[str, Any]]:
    """Read all lines, oldest first."""
    return [json.loads(line) for line in way.splitlines()]
