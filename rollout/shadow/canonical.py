"""One text for all results that count as equal, and a digest of results too large to carry."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from heapq import nsmallest
from math import isfinite
from typing import Any, Protocol

from xxhash import xxh3_64_intdigest

from rollout.shadow.field_paths import WHOLE, Patterns, at_index, at_key, key_in_field

PARTS_MAX = 100
"""Values of a large result that are carried beside its digest."""
PART_CHARS_MAX = 200
_EXPONENT_MAX = 400
"""No float is as large as ten to this power; a decimal of more zeros is not written out."""


class Leniency(Protocol):
    """What a comparison lets pass, as far as one text for equal results needs it."""

    @property
    def ignored(self) -> Patterns:
        """Fields that are left out."""
        ...

    @property
    def loose(self) -> Patterns:
        """Fields whose items may come in any order."""
        ...

    @property
    def tolerant(self) -> bool:
        """Whether numbers need not be equal."""
        ...


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def canonical(value: Any, at: str, how: Leniency, place: str = "", *, blank: bool = False) -> str:
    """One text for all values that are exactly equal but for what is ignored or unordered.

    Args:
        value: A value that has been through JSON.
        at: The field it is in.
        how: What is left out, and what may come in any order.
        place: Where it is, with its keys as they are; without it `at` says so.
        blank: Leave out what numbers there are, too.
    """
    return _text(_plain(value, at, place or at, how, blank))


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, default=lambda number: f"decimal {number}")


def _plain(value: Any, at: str, place: str, how: Leniency, blank: bool) -> Any:
    if isinstance(value, dict):
        width = len(value)
        kept = {}
        for key, below in value.items():
            field = at_key(at, key_in_field(str(key), width))
            there = at_key(place, str(key))
            if not how.ignored.match(field, there):
                kept[str(key)] = _plain(below, field, there, how, blank)
        return kept
    if isinstance(value, list):
        below_field, there = at_index(at, None), at_index(place, None)
        items = [_plain(item, below_field, there, how, blank) for item in value]
        if how.loose.match(at, place):
            items.sort(key=_text)
        return items
    if is_number(value):
        return "#" if blank else _number(value)
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)  # one moment in two zones is equal
    return f"{type(value).__name__} {value}"


def _number(value: Any) -> Any:
    """One form for equal numbers: 1, 1.0 and Decimal("1.00") are the same, and no others are."""
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return _decimal(value)
    return int(value) if isfinite(value) and value == int(value) else value


def _decimal(value: Decimal) -> Any:
    """A decimal as the int or float that equals it, else without its last zeros."""
    if not value.is_finite():
        return float("nan") if value.is_nan() else float(value)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    while len(digits) > 1 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if digits == (0,):
        return 0
    if 0 <= exponent < _EXPONENT_MAX:
        return int(value)
    short = Decimal((sign, digits, exponent))
    nearest = float(short)
    return nearest if isfinite(nearest) and Decimal(nearest) == short else short


@dataclass(frozen=True, slots=True)
class Digest:
    """A large result in short: the hash of its text and a sample of its values.

    With tolerances the hash leaves the numbers out; they are compared in the sample only. The
    sample is that of the smallest hashes of the places, so that both sides choose the same.

    Attributes:
        hash: SHA-256 of the canonical text.
        size_bytes: Length of that text.
        parts: By place: the field it belongs to, and its value.
    """

    hash: str
    size_bytes: int
    parts: dict[str, tuple[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether the sample holds every value."""
        return len(self.parts) < PARTS_MAX


def digest(value: Any, how: Leniency) -> Digest:
    """Digest a value that has been through JSON; about 3 us for each part of it."""
    kept = _plain(value, WHOLE, WHOLE, how, False)
    text = _text(_plain(value, WHOLE, WHOLE, how, True) if how.tolerant else kept)
    leaves: list[tuple[str, str, Any]] = []
    _collect(kept, WHOLE, WHOLE, leaves)
    chosen = nsmallest(PARTS_MAX, leaves, key=lambda leaf: rank(leaf[0]))
    parts = {place: (at, _short(leaf)) for place, at, leaf in chosen}
    encoded = text.encode(errors="surrogatepass")
    return Digest(sha256(encoded).hexdigest(), len(encoded), parts)


def rank(place: str) -> int:
    """The number by which places are chosen for the sample."""
    return xxh3_64_intdigest(place.encode(errors="surrogatepass"))


def _collect(value: Any, place: str, at: str, leaves: list[tuple[str, str, Any]]) -> None:
    if isinstance(value, dict) and value:
        width = len(value)
        for key, below in value.items():
            field = at_key(at, key_in_field(key, width))
            _collect(below, at_key(place, key), field, leaves)
    elif isinstance(value, list) and value:
        field = at_index(at, None)
        for index, below in enumerate(value):
            _collect(below, at_index(place, index), field, leaves)
    else:
        leaves.append((place, at, value))


def _short(leaf: Any) -> Any:
    """A text of any length as one that is short and still differs when it does."""
    if isinstance(leaf, str) and len(leaf) > PART_CHARS_MAX:
        hashed = sha256(leaf.encode(errors="surrogatepass")).hexdigest()
        return f"{leaf[:PART_CHARS_MAX]}... sha256 {hashed}"
    return leaf


def weigh(value: Any, nodes_max: int, chars_max: int) -> bool:
    """Whether a value has at most so many parts and so much text; looks no further than that.

    Called before a value is written as JSON, so that a huge one costs no more than a large one.
    """
    nodes, chars = 0, 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        nodes += 1
        if isinstance(one, str | bytes):
            chars += len(one)
        elif isinstance(one, dict | list | tuple):
            if nodes + len(one) > nodes_max:
                return False
            waiting += one.values() if isinstance(one, dict) else one
        if nodes > nodes_max or chars > chars_max:
            return False
    return True
