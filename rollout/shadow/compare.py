"""What legacy's path returned against what the concurrent path returned: equal, or what differs.

Pure. Both values have been through JSON (a tuple is a list, a key is text), so that a value that
was carried by a message can be compared with one that was not.

Sources: Scientist and Diffy compare whole answers; the field names that group mismatches are
Diffy's idea. `docs/decisions/0016-own-comparison.md` says why no library does it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isclose, isnan
from typing import Any

from rollout.errors import DeclarationError, words_of
from rollout.shadow.canonical import canonical, is_number
from rollout.shadow.field_paths import (
    WHOLE,
    Patterns,
    at_index,
    at_key,
    key_in_field,
    shortened,
    spelled,
)

DIFFERENCES_MAX = 20
"""Differences that are kept of one pair; the rest is counted."""
FIELDS_MAX = 30
"""Fields that a signature names; the rest is counted."""
VALUE_CHARS_MAX = 120
DIFF_CHARS_MAX = 4_000

Redact = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Comparison:
    """How two results are compared; the default is exactly.

    Args:
        rel_tolerance: Numbers may differ by this share of the larger one.
        abs_tolerance: Numbers may differ by this much.
        unordered: Fields whose items may come in any order, such as `lines` or `**.tags`.
        ignore: Fields that are left out, with all that lies in them.
        function: `(legacy, concurrent)` that decides instead: True or None is equal, False is
            not, a text or a list of texts names what differs.
        redact: Fields whose values are never stored, or a function `(field, value)` that gives
            what may be stored of them.

    Raises:
        DeclarationError: A tolerance is negative, or a list of fields is one text.
    """

    rel_tolerance: float = 0.0
    abs_tolerance: float = 0.0
    unordered: Sequence[str] = ()
    ignore: Sequence[str] = ()
    function: Callable[[Any, Any], object] | None = None
    redact: Sequence[str] | Redact = ()
    ignored: Patterns = field(init=False, repr=False, compare=False)
    loose: Patterns = field(init=False, repr=False, compare=False)
    hidden: Patterns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("rel_tolerance", "abs_tolerance"):
            if not getattr(self, name) >= 0:
                raise DeclarationError(
                    f"{name} must be 0 or more, got {getattr(self, name)!r}", "0 compares exactly"
                )
        for name in ("unordered", "ignore", "redact"):
            if isinstance(getattr(self, name), str):
                raise DeclarationError(
                    f"{name} must list fields, got the text {getattr(self, name)!r}",
                    f"write {name}=({getattr(self, name)!r},)",
                )
        patterns = () if callable(self.redact) else self.redact
        object.__setattr__(self, "ignored", Patterns(self.ignore))
        object.__setattr__(self, "loose", Patterns(self.unordered))
        object.__setattr__(self, "hidden", Patterns(patterns))

    @property
    def tolerant(self) -> bool:
        """Whether numbers need not be equal."""
        return self.rel_tolerance > 0 or self.abs_tolerance > 0

    def same_number(self, legacy: Any, concurrent: Any) -> bool:
        """Whether two numbers count as equal; NaN equals NaN."""
        if legacy == concurrent or (_is_nan(legacy) and _is_nan(concurrent)):
            return True
        if not self.tolerant:
            return False
        try:
            one, other = float(legacy), float(concurrent)
        except OverflowError:
            return False
        return isclose(one, other, rel_tol=self.rel_tolerance, abs_tol=self.abs_tolerance)

    def shown(self, at_field: str, value: Any, place: str = "") -> str:
        """A value as it may be stored; of a container only its size, for what lies in it."""
        if self.hidden.cover(at_field, place or at_field):
            return "(redacted)"
        if callable(self.redact):
            try:
                value = _redacted(self.redact, at_field, spelled(place or at_field), value)
            except (Exception, SystemExit) as error:  # the user's code; rather too little is shown
                return f"(redaction failed: {type(error).__name__})"
        match value:
            case dict():
                return f"{{{len(value)} keys}}"
            case list():
                return f"[{len(value)} items]"
            case str():
                text = json.dumps(value[: VALUE_CHARS_MAX + 1], ensure_ascii=False)
            case _:
                text = str(value)
        return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 3] + "..."


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the results differ.

    `what` is value, type, length, missing (in the concurrent result) or added (by it).
    """

    place: str
    field: str
    what: str
    legacy: str = ""
    concurrent: str = ""

    def line(self) -> str:
        """The difference on one line."""
        match self.what:
            case "missing":
                return f"{self.place}: {self.legacy} is missing"
            case "added":
                return f"{self.place}: {self.concurrent} was added"
            case _ if self.legacy or self.concurrent:
                return f"{self.place}: {self.legacy} -> {self.concurrent}"
            case _:
                return f"{self.place} differs"


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison gave.

    Attributes:
        differences: At most `DIFFERENCES_MAX`, in the order of the result.
        fields: Each field that differs, sorted, with what differs of it; at most `FIELDS_MAX`.
        more: Differences that were found and not kept.
    """

    differences: tuple[Difference, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    more: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def names(self) -> frozenset[str]:
        """The fields that differ."""
        return frozenset(name for name, _ in self.fields)

    @property
    def signature(self) -> str:
        """What mismatches of one cause have in common."""
        return ", ".join(
            name if what == "value" else f"{name} ({what})" for name, what in self.fields
        )

    def diff(self) -> str:
        """The differences as lines, at most `DIFF_CHARS_MAX` characters."""
        lines = [one.line() for one in self.differences]
        text = "\n".join(lines)
        if len(text) > DIFF_CHARS_MAX:
            text = text[: DIFF_CHARS_MAX - 3] + "..."
        return f"{text}\nand {self.more} more" if self.more else text


@dataclass(frozen=True, slots=True)
class Uncomparable:
    """The results could not be compared; `kind` is counted as an error of the shadow."""

    kind: str
    why: str


def compare(comparison: Comparison, legacy: Any, concurrent: Any) -> Compared | Uncomparable:
    """Compare two results that have been through JSON.

    Args:
        comparison: How.
        legacy: What the legacy path returned.
        concurrent: What the other run returned.

    Returns:
        What differs; Uncomparable when the user's function raised or a value nests too deep.
    """
    if comparison.function is not None:
        return _by_function(comparison, comparison.function, legacy, concurrent)
    walk = Walk(comparison)
    try:
        walk.visit(WHOLE, WHOLE, legacy, concurrent)
    except RecursionError:
        return Uncomparable("too_deep", "a result nests too deep to be compared")
    return walk.result()


def _by_function(
    comparison: Comparison,
    function: Callable[[Any, Any], object],
    legacy: Any,
    concurrent: Any,
) -> Compared | Uncomparable:
    try:
        said = function(legacy, concurrent)
        if said is None or said is True:
            return Compared()
        if said is False:
            names = [WHOLE]
        elif isinstance(said, str):
            names = [said]
        else:
            names = [str(name) for name in said]  # type: ignore[attr-defined]  # else it raises
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        return Uncomparable("compare_raised", f"{type(error).__name__}: {words_of(error)}"[:500])
    walk = Walk(comparison)
    for name in names:
        if name == WHOLE:
            walk.add(WHOLE, WHOLE, "value", legacy, concurrent)
        else:
            walk.name(name)
    return walk.result()


class Walk:
    """Goes through two results side by side and notes what differs."""

    def __init__(self, comparison: Comparison) -> None:
        self._how = comparison
        self._found: list[Difference] = []
        self._fields: dict[tuple[str, str], None] = {}
        self._more = 0

    def result(self) -> Compared:
        """What was found so far."""
        fields = tuple(sorted(self._fields))[:FIELDS_MAX]
        return Compared(tuple(self._found), fields, self._more)

    def name(self, name: str) -> None:
        """Note a field without its values."""
        self._note(Difference(shortened(name), shortened(name), "value"))

    def add(self, place: str, at: str, what: str, legacy: Any = None, other: Any = None) -> None:
        """Note a difference."""
        if len(self._found) >= DIFFERENCES_MAX:
            self._more += 1
            self._remember(shortened(at), what)
            return
        shown_legacy = "" if what == "added" else self._how.shown(at, legacy, place)
        shown_other = "" if what == "missing" else self._how.shown(at, other, place)
        self._note(Difference(shortened(place), shortened(at), what, shown_legacy, shown_other))

    def _note(self, difference: Difference) -> None:
        self._found.append(difference)
        self._remember(difference.field, difference.what)

    def _remember(self, at: str, what: str) -> None:
        # More fields than a signature names are still told apart from few, and bounded.
        if len(self._fields) < 10 * FIELDS_MAX:
            self._fields[(at, what)] = None

    def visit(self, place: str, at: str, legacy: Any, other: Any) -> None:
        """Compare one place; `at` is its field."""
        if self._how.ignored.match(at, place):
            return
        if is_number(legacy) and is_number(other):
            if not self._how.same_number(legacy, other):
                self.add(place, at, "value", legacy, other)
        elif isinstance(legacy, dict) and isinstance(other, dict):
            self._maps(place, at, legacy, other)
        elif isinstance(legacy, list) and isinstance(other, list):
            if self._how.loose.match(at, place):
                self._bags(place, at, legacy, other)
            else:
                self._lists(place, at, enumerate(legacy), legacy, other)
        elif type(legacy) is not type(other):
            self.add(place, at, "type", legacy, other)
        elif legacy != other:
            self.add(place, at, "value", legacy, other)

    def _maps(self, place: str, at: str, legacy: dict[str, Any], other: dict[str, Any]) -> None:
        width = max(len(legacy), len(other))
        for key in sorted({*legacy, *other}, key=str):
            below = at_key(place, str(key))
            field_below = at_key(at, key_in_field(str(key), width))
            if key not in other:
                if not self._how.ignored.match(field_below, below):
                    self.add(below, field_below, "missing", legacy=legacy[key])
            elif key not in legacy:
                if not self._how.ignored.match(field_below, below):
                    self.add(below, field_below, "added", other=other[key])
            else:
                self.visit(below, field_below, legacy[key], other[key])

    def _lists(
        self,
        place: str,
        at: str,
        numbered: Iterable[tuple[int, Any]],
        legacy: Sequence[Any],
        other: Sequence[Any],
    ) -> None:
        if len(legacy) != len(other):
            self.add(place, at, "length", list(legacy), list(other))
        for (index, one), two in zip(numbered, other, strict=False):
            self.visit(at_index(place, index), at_index(at, None), one, two)

    def _bags(self, place: str, at: str, legacy: list[Any], other: list[Any]) -> None:
        """Pair equal items off; what is left is sorted by everything but its numbers, then paired.

        Greedy: with tolerances, items whose only difference is several numbers may be paired
        badly and be reported though a better pairing exists.
        """
        below, there = at_index(at, None), at_index(place, None)

        def text_of(item: Any, *, blank: bool = False) -> str:
            return canonical(item, below, self._how, there, blank=blank)

        texts = [text_of(item) for item in legacy]
        spare = Counter(map(text_of, other))
        left: list[tuple[int, Any]] = []
        for index, text in enumerate(texts):
            if spare[text]:
                spare[text] -= 1
            else:
                left.append((index, legacy[index]))
        right = []
        for item in other:
            text = text_of(item)
            if spare[text]:
                spare[text] -= 1
                right.append(item)
        if not left and not right:
            return

        def order(item: Any) -> tuple[str, str]:
            return text_of(item, blank=True), text_of(item)

        left.sort(key=lambda numbered: order(numbered[1]))
        right.sort(key=order)
        if len(legacy) != len(other):
            self.add(place, at, "length", legacy, other)
        for (index, one), two in zip(left, right, strict=False):
            self.visit(at_index(place, index), below, one, two)


def _redacted(redact: Redact, field: str, spelled_out: str, value: Any) -> Any:
    """What may be stored; of a key that is data it is asked by both of the field's names."""
    left = redact(field, value)
    return redact(spelled_out, value) if left is value and spelled_out != field else left


def _is_nan(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and isnan(value)
