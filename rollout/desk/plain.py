"""Results as plain JSON: what every `to_json` of the desk is made with."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

Json = dict[str, Any]


def plain_json(value: Any) -> Any:
    """Give dataclasses as objects, times in ISO 8601, names of enums as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain_json(key)): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_json(inner) for inner in value]
    return value
