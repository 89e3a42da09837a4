"""Results as plain JSON: what every `to_json` of the desk is made with."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

Json = dict[str, Any]


_PLAIN = frozenset({type(None), bool, int, float, str})


def plain_json(value: Any) -> Any:
    """Give dataclasses as objects, times in ISO 8601, names of enums as text."""
    if type(value) in _PLAIN:  # nearly all of a list of a thousand jobs
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain_json(getattr(value, name)) for name in _names_of(type(value))}
    if isinstance(value, Mapping):
        return {str(plain_json(key)): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_json(inner) for inner in value]
    return value


@cache
def _names_of(kind: Any) -> tuple[str, ...]:
    """The fields of a dataclass."""
    return tuple(one.name for one in fields(kind))
