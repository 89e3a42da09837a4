"""Reading stored evidence back: plain JSON in, checked numbers out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rollout.evidence.errors import BadState

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What `json.dumps` writes and `json.loads` gives back, without NaN and infinity."""

_HINT = "start this window afresh; the decisions already made stay in the history"


def read_object(payload: Json, keys: Sequence[str]) -> Mapping[str, Json]:
    """Give `payload` back when it is an object with exactly these keys, else raise BadState."""
    if not isinstance(payload, Mapping) or set(payload) != set(keys):
        expected = f"stored evidence must be an object with the keys {list(keys)}"
        raise BadState(expected, payload, _HINT)
    return payload


def read_list(payload: Json, length: int | None = None) -> Sequence[Json]:
    """Give a list back, of this length if one is given, else raise BadState."""
    if not isinstance(payload, list | tuple) or (length is not None and len(payload) != length):
        expected = f"stored evidence must list {'some' if length is None else length} numbers"
        raise BadState(expected, payload, _HINT)
    return payload


def read_number(payload: Json) -> float:
    """Give a finite number >= 0 back, else raise BadState."""
    if isinstance(payload, bool) or not isinstance(payload, int | float):
        raise BadState("a stored number must be a number", payload, _HINT)
    if not math.isfinite(payload) or payload < 0:
        raise BadState("a stored number must be finite and >= 0", payload, _HINT)
    return float(payload)


def read_numbers(payload: Json, length: int | None = None) -> tuple[float, ...]:
    """Give a list of finite numbers >= 0 back, of this length if one is given."""
    return tuple(read_number(item) for item in read_list(payload, length))


def read_flag(payload: Json) -> bool:
    """Give true or false back, else raise BadState."""
    if not isinstance(payload, bool):
        raise BadState("a stored flag must be true or false", payload, _HINT)
    return payload


def read_count(payload: Json) -> int:
    """Give a whole number >= 0 back, else raise BadState."""
    if isinstance(payload, bool) or not isinstance(payload, int) or payload < 0:
        raise BadState("a stored count must be a whole number >= 0", payload, _HINT)
    return payload
