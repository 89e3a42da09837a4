"""Names of the places in a result: where exactly, and which field whatever its index.

    lines[3].price      the place
    lines[*].price      the field: what ten thousand mismatches of one cause have in common

Keys that are data (numbers, ids, dates, any key of a wide map) read `{*}` in a field's name.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache

WHOLE = "(whole)"
"""The result itself."""
RAISED = "(raised)"
"""The field of a run that raised where the other returned."""
WIDE_KEYS = 50
"""A map with more keys than this is data; its keys are not names of fields."""

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")
_DATA = re.compile(
    r"[-+]?\d+(\.\d+)?"  # a number
    r"|[0-9a-fA-F]{8,}"  # a hash
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|\d{4}-\d\d(-\d\d.*)?"  # a month, a day, a time
)
_FIELD_CHARS_MAX = 200


def at_key(above: str, key: str) -> str:
    """The place or field of a key."""
    word = key if _PLAIN.fullmatch(key) or key == "{*}" else json.dumps(key)
    return word if above == WHOLE else f"{above}.{word}"


def at_index(above: str, index: int | None) -> str:
    """The place of an item; None for the field of any item."""
    inside = "*" if index is None else index
    return f"[{inside}]" if above == WHOLE else f"{above}[{inside}]"


def key_in_field(key: str, keys_in_map: int) -> str:
    """The key as a field's name has it: `{*}` when it is data."""
    return "{*}" if keys_in_map > WIDE_KEYS or _DATA.fullmatch(key) else key


_INDEX = re.compile(r'("(?:[^"\\]|\\.)*")|\[\d+\]')


def spelled(place: str) -> str:
    """The field of a place with its keys as they are, also those that are data."""
    return _INDEX.sub(lambda found: found[1] or "[*]", place)


def shortened(field: str) -> str:
    """A field's name as it can be stored."""
    return field if len(field) <= _FIELD_CHARS_MAX else field[: _FIELD_CHARS_MAX - 3] + "..."


class Patterns:
    """Names of fields with wildcards: `*` is any one key, `**.` any way down to it.

    `updated_at`, `lines[*].price`, `**.updated_at`, `totals.*`; what lies below a matching field
    belongs to it. A key is named as it is, or by the `{*}` that a field's name has for it: the
    password in a row of sixty columns is `password`, though its field reads `{*}`.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(re.compile(_as_regex(_quoted(pattern))) for pattern in patterns)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._patterns)

    def match(self, field: str, place: str) -> bool:
        """Whether this very field is named; `place` is it with its keys as they are."""
        if not self._patterns:
            return False
        return self._match(field) or ("{*}" in field and self._match(spelled(place)))

    def _match(self, field: str) -> bool:
        found = self._known.get(field)
        if found is None:
            found = any(pattern.fullmatch(field) for pattern in self._patterns)
            if len(self._known) < 10_000:
                self._known[field] = found
        return found

    def cover(self, field: str, place: str) -> bool:
        """Whether this field or one that it lies in is named."""
        names = (field, spelled(place)) if "{*}" in field else (field,)
        return any(self._match(above) for name in names for above in _with_above(name))


def _quoted(pattern: str) -> str:
    """A pattern in which keys such as `first name` are written as a field's name writes them."""
    if '"' in pattern or pattern in (WHOLE, RAISED):
        return pattern
    return ".".join(map(_quoted_key, pattern.split(".")))


def _quoted_key(part: str) -> str:
    key = part.partition("[")[0]
    if not key or "*" in key or _PLAIN.fullmatch(key):
        return part
    return json.dumps(key) + part[len(key) :]


def _as_regex(pattern: str) -> str:
    text = re.escape(pattern)
    text = text.replace(r"\[\*\]", "\0").replace(r"\*\*\.", r"(?:.+\.)?")
    text = text.replace(r"\*\*", ".*").replace(r"\{\*\}", "\1").replace(r"\*", r"[^.\[\]]+")
    return text.replace("\0", r"\[\*\]").replace("\1", r"\{\*\}")


@lru_cache(maxsize=4096)
def _with_above(field: str) -> tuple[str, ...]:
    """The field and all that it lies in."""
    ends = [end.start() for end in re.finditer(r"\.|\[", field) if end.start()]
    return (*(field[:end] for end in ends), field)
