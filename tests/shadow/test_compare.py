"""What counts as equal, what differs, how a difference is named, shown, hidden and bounded."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import DeclarationError
from rollout.shadow.canonical import canonical, digest, weigh
from rollout.shadow.compare import (
    DIFF_CHARS_MAX,
    DIFFERENCES_MAX,
    FIELDS_MAX,
    Compared,
    Comparison,
    Uncomparable,
    compare,
)
from rollout.shadow.compare_digests import BEYOND, compare_digests
from rollout.shadow.field_paths import WHOLE, Patterns

EXACT = Comparison()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def compared(legacy: Any, concurrent: Any, how: Comparison = EXACT) -> Compared:
    """Compare two results that can be compared."""
    found = compare(how, legacy, concurrent)
    assert isinstance(found, Compared)
    return found


@given(VALUES)
def test_a_value_equals_itself(value: Any) -> None:
    """NaN and every nesting included, by value and by digest."""
    assert compared(value, value).equal
    assert compare_digests(EXACT, digest(value, EXACT), digest(value, EXACT)) == Compared()


@given(VALUES, VALUES)
def test_a_comparison_and_the_digests_agree(legacy: Any, concurrent: Any) -> None:
    """What one of them calls equal is equal for the other, for results the sample holds whole."""
    by_digest = compare_digests(EXACT, digest(legacy, EXACT), digest(concurrent, EXACT))
    assert isinstance(by_digest, Compared)
    assert by_digest.equal == compared(legacy, concurrent).equal


@given(VALUES, VALUES)
def test_a_comparison_is_symmetric(legacy: Any, concurrent: Any) -> None:
    """Whichever side is called legacy, the same fields differ."""
    one, other = compared(legacy, concurrent), compared(concurrent, legacy)
    assert one.names == other.names


@given(st.lists(VALUES, max_size=6), st.randoms(use_true_random=False))
def test_unordered_items_may_come_in_any_order(items: list[Any], chance: Any) -> None:
    """At any depth they are a bag: shuffled is equal, and one more is not."""
    shuffled = list(items)
    chance.shuffle(shuffled)
    loose = Comparison(unordered=("tags",))
    assert compared({"tags": items}, {"tags": shuffled}, loose).equal
    assert not compared({"tags": items}, {"tags": [*shuffled, "one more"]}, loose).equal
    assert canonical({"tags": items}, WHOLE, loose) == canonical({"tags": shuffled}, WHOLE, loose)


@given(st.floats(-1e6, 1e6), st.floats(-1, 1))
def test_a_tolerance_lets_close_numbers_pass(number: float, share: float) -> None:
    """Within it equal, beyond it not."""
    how = Comparison(abs_tolerance=1.0)
    assert compared([number], [number + 0.99 * share], how).equal
    assert not compared([number], [number + 1.5], how).equal


@pytest.mark.parametrize(
    ("legacy", "concurrent", "how", "equal"),
    [
        (1, 1.0, EXACT, True),
        (Decimal("1.10"), Decimal("1.1"), EXACT, True),
        (1, True, EXACT, False),
        (0, None, EXACT, False),
        ("1", 1, EXACT, False),
        (float("nan"), float("nan"), EXACT, True),
        (float("inf"), float("-inf"), EXACT, False),
        (100.0, 100.5, Comparison(rel_tolerance=0.01), True),
        (100.0, 102.0, Comparison(rel_tolerance=0.01), False),
        (10**400, 1.0, Comparison(rel_tolerance=0.01), False),
        ([1, 2], [2, 1], EXACT, False),
        ([1.0, 2.0], [2.1, 1.1], Comparison(unordered=(WHOLE,), abs_tolerance=0.2), True),
        ({"at": 1, "n": 1}, {"at": 2, "n": 1}, Comparison(ignore=("at",)), True),
        ({"at": 1, "n": 1}, {"n": 1}, Comparison(ignore=("at",)), True),
        ({"a": [{"at": 1}]}, {"a": [{"at": 2}]}, Comparison(ignore=("**.at",)), True),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, Comparison(ignore=("a",)), True),
        ({"a": {"x": 1}}, {"a": {"x": 2}}, Comparison(ignore=("a.*",)), True),
    ],
)
def test_what_counts_as_equal(legacy: Any, concurrent: Any, how: Comparison, equal: bool) -> None:
    """Numbers by value, nothing else by leniency that was not asked for."""
    assert compared(legacy, concurrent, how).equal is equal


@pytest.mark.parametrize(
    ("legacy", "concurrent", "signature", "diff"),
    [
        ({"total": 1}, {"total": 2}, "total", "total: 1 -> 2"),
        (
            {"lines": [{"price": 1}, {"price": 2}]},
            {"lines": [{"price": 1}, {"price": 3}]},
            "lines[*].price",
            "lines[1].price: 2 -> 3",
        ),
        ({"a": 1}, {}, "a (missing)", "a: 1 is missing"),
        ({}, {"a": [1, 2]}, "a (added)", "a: [2 items] was added"),
        ([1], [1, 2], "(whole) (length)", "(whole): [1 items] -> [2 items]"),
        ({"a": 1}, {"a": "1"}, "a (type)", 'a: 1 -> "1"'),
        ({"2026-11": {"x": 1}}, {"2026-11": {"x": 2}}, '"{*}"', '"2026-11".x: 1 -> 2'),
        ({"a.b": 1}, {"a.b": 2}, '"a.b"', '"a.b": 1 -> 2'),
        (1, 2, "(whole)", "(whole): 1 -> 2"),
    ],
)
def test_differences_are_named_and_shown(
    legacy: Any, concurrent: Any, signature: str, diff: str
) -> None:
    """The field is what mismatches of one cause have in common, the place is where it is."""
    found = compared(legacy, concurrent)
    assert found.diff() == diff
    assert found.signature == signature.replace('"{*}"', "{*}.x")


def test_keys_that_are_data_do_not_split_a_group() -> None:
    """Ten thousand customers, each with a key of his own, one cause."""
    keys = ["17", "4.5", "0fd3e86a", "67fea70b-eb99-4b56-8d70-8f55eced011c", "2026-11-24"]
    for key in keys:
        found = compared({"by_customer": {key: 1}}, {"by_customer": {key: 2}})
        assert found.signature == "by_customer.{*}"
    wide = {f"name_{letter}": 1 for letter in range(51)}
    assert compared(wide, {**wide, "name_7": 2}).signature == "{*}"


def test_a_diff_is_bounded() -> None:
    """However many places and however long their values."""
    legacy = {f"field_{number}_{'x' * 300}": "a" * 10_000 for number in range(40)}
    found = compared(legacy, dict.fromkeys(legacy, "b" * 10_000))
    assert len(found.differences) == DIFFERENCES_MAX
    assert found.more == 40 - DIFFERENCES_MAX
    assert len(found.fields) <= FIELDS_MAX
    assert len(found.diff()) <= DIFF_CHARS_MAX + 20
    assert found.diff().endswith("and 20 more")
    assert all(len(name) <= 200 for name in found.names)


@pytest.mark.parametrize(
    ("redact", "shown"),
    [
        (("card",), "card: (redacted) -> (redacted)"),
        (("**.number",), "card.number: (redacted) -> (redacted)"),
        (lambda field, value: "***" if "number" in field else value, 'card.number: "***" -> "***"'),
    ],
)
def test_redacted_values_are_never_shown(redact: Any, shown: str) -> None:
    """By the field's name, by one that it lies in, or by a function."""
    secret = {"card": {"number": "4111"}}
    other = {"card": {"number": "4222"}} if "number" in shown else {"card": "4222"}
    found = compared(secret, other, Comparison(redact=redact))
    assert found.diff() == shown
    assert "4111" not in repr(found)
    assert "4222" not in repr(found)


def test_what_lies_in_a_missing_field_is_not_shown() -> None:
    """A container is shown by its size, or a redacted field in it would come to light."""
    how = Comparison(redact=("card.number",))
    assert "4111" not in repr(compared({"card": {"number": "4111"}}, {}, how))


@pytest.mark.parametrize("error", [ValueError("4111"), SystemExit(1)])
def test_a_redaction_that_raises_shows_nothing(error: BaseException) -> None:
    """Rather too little than too much."""

    def redact(field: str, value: Any) -> Any:
        raise error

    found = compared({"card": "4111"}, {"card": "4222"}, Comparison(redact=redact))
    assert "4111" not in repr(found)
    assert "redaction failed" in found.diff()


@pytest.mark.parametrize(
    ("said", "signature"),
    [
        (True, ""),
        (None, ""),
        (False, "(whole)"),
        ("totals", "totals"),
        (["b", "a"], "a, b"),
        ([], ""),
    ],
)
def test_a_function_decides(said: Any, signature: str) -> None:
    """Equal, not equal, or what differs."""
    assert compared(1, 2, Comparison(function=lambda a, b: said)).signature == signature


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), RecursionError()])
def test_a_function_that_raises_is_told(error: BaseException) -> None:
    """As something that is no comparison."""

    def function(legacy: Any, concurrent: Any) -> Any:
        raise error

    found = compare(Comparison(function=function), 1, 1)
    assert isinstance(found, Uncomparable)
    assert found.kind == "compare_raised"


def test_a_function_that_gives_nonsense_is_told() -> None:
    """A number is no answer."""
    assert isinstance(compare(Comparison(function=lambda a, b: 17), 1, 1), Uncomparable)


def test_a_result_that_nests_too_deep_is_told() -> None:
    """The walk ends before the interpreter does."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    found = compare(EXACT, deep, [deep])
    assert isinstance(found, Uncomparable)
    assert found.kind == "too_deep"
    # Taken apart by hand: the interpreter's own way down would be as deep.
    while deep:
        deep = deep.pop()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rel_tolerance": -1}, "rel_tolerance must be 0 or more, got -1"),
        ({"abs_tolerance": float("nan")}, "abs_tolerance must be 0 or more, got nan"),
        ({"ignore": "at"}, "ignore must list fields, got the text 'at'"),
    ],
)
def test_a_comparison_that_cannot_be_meant_is_refused(values: Any, message: str) -> None:
    """Where it is declared."""
    with pytest.raises(DeclarationError, match=message):
        Comparison(**values)


def rows(count: int = 3_000, **changes: Any) -> list[dict[str, Any]]:
    """A large result."""
    return [{"id": number, "name": f"name {number}", **changes} for number in range(count)]


def test_digests_of_large_results_show_what_differs_in_their_sample() -> None:
    """With its field and a few of its values."""
    legacy, concurrent = rows(price=1), rows(price=2)
    found = compare_digests(EXACT, digest(legacy, EXACT), digest(concurrent, EXACT))
    assert isinstance(found, Compared)
    assert found.signature == "[*].price"
    assert ": 1 -> 2" in found.diff()


def test_a_difference_beyond_the_sample_is_seen_and_said() -> None:
    """One of nine thousand values differs: the hash says so, the sample cannot."""
    legacy, concurrent = rows(price=1), rows(price=1)
    concurrent[1_234]["price"] = 2
    found = compare_digests(EXACT, digest(legacy, EXACT), digest(concurrent, EXACT))
    assert isinstance(found, Compared)
    assert found.names <= {BEYOND, "[*].price"}
    assert not found.equal


def test_a_missing_row_of_a_large_result_is_seen() -> None:
    """Both sides choose the same places for their samples."""
    legacy, concurrent = rows(), rows(2_000)
    found = compare_digests(EXACT, digest(legacy, EXACT), digest(concurrent, EXACT))
    assert isinstance(found, Compared)
    assert any("missing" in what for _, what in found.fields)
    assert not any("added" in what for _, what in found.fields)


def test_tolerances_hold_for_digests() -> None:
    """The hash leaves the numbers out; the sample's are close."""
    how = Comparison(abs_tolerance=0.5, ignore=("[*].at",))
    one = digest(rows(price=1.0, at="a"), how)
    assert compare_digests(how, one, digest(rows(price=1.4, at="b"), how)) == Compared()
    far = compare_digests(how, one, digest(rows(price=1.6, at="b"), how))
    assert isinstance(far, Compared)
    assert far.signature == "[*].price"


def test_a_function_cannot_be_given_a_digest() -> None:
    """It is told, and counted as an error of the shadow."""
    how = Comparison(function=lambda a, b: True)
    found = compare_digests(how, digest([1], how), digest([1], how))
    assert isinstance(found, Uncomparable)
    assert found.kind == "too_large"


def test_long_texts_are_short_in_a_sample_and_still_differ() -> None:
    """By their hash."""
    one, other = digest(["a" * 10_000], EXACT), digest(["a" * 9_999 + "b"], EXACT)
    assert len(str(one.parts)) < 500
    found = compare_digests(EXACT, one, other)
    assert isinstance(found, Compared)
    assert found.signature == "[*]"


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ([0] * 90, True),
        ([0] * 110, False),
        ({"a": [[1] * 50, [2] * 60]}, False),
        ("x" * 900, True),
        (["x" * 600, "y" * 600], False),
        (b"x" * 1_100, False),
        (object(), True),
    ],
)
def test_weighing_stops_at_the_limit(value: Any, fits: bool) -> None:
    """At most 100 parts and 1,000 characters here; what is not JSON is left to its writer."""
    assert weigh(value, 100, 1_000) is fits


@pytest.mark.parametrize(
    ("pattern", "field", "matches"),
    [
        ("at", "at", True),
        ("at", "a.at", False),
        ("**.at", "at", True),
        ("**.at", "a.b[*].at", True),
        ("**.at", "a.that", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.**", "a.b.c", True),
        ("lines[*].at", "lines[*].at", True),
        ("lines[*].at", "linesx.at", False),
        ("totals.{*}", "totals.{*}", True),
        ("first name", '"first name"', True),
        ("lines[*].first name", 'lines[*]."first name"', True),
        ("**.Ägypten", 'a."\\u00c4gypten"', True),
        ('"a.b".c', '"a.b".c', True),
    ],
)
def test_patterns_name_fields(pattern: str, field: str, matches: bool) -> None:
    """`*` is one key, `**.` any way down; brackets stand for themselves."""
    assert Patterns([pattern]).match(field, field) is matches


WIDE = {f"column_{number}": number for number in range(60)}
"""A row of more columns than a map may have to count as one of names."""


@pytest.mark.parametrize("how_large", ["as it is", "digest"])
@pytest.mark.parametrize(
    ("row", "pattern"),
    [
        ({**WIDE, "updated_at": 1}, "updated_at"),
        ({"rows": [{**WIDE, "updated_at": 1}]}, "rows[*].updated_at"),
        ({"2026-11": {"updated_at": 1}}, "2026-11.updated_at"),
        ({"2026-11": {"updated_at": 1}}, "{*}.updated_at"),
    ],
)
def test_a_field_is_ignored_by_its_own_name(row: Any, pattern: str, how_large: str) -> None:
    """Also where its key is among so many that they count as data."""
    other = json.loads(json.dumps(row).replace('"updated_at": 1', '"updated_at": 2'))
    how = Comparison(ignore=(pattern,))
    if how_large == "digest":
        found = compare_digests(how, digest(row, how), digest(other, how))
        assert isinstance(found, Compared)
        assert found.equal
    else:
        assert compared(row, other, how).equal
        assert not compared(row, other).equal


@pytest.mark.parametrize(
    "redact", [("password",), lambda field, value: "***" if field == "password" else value]
)
def test_a_secret_in_a_wide_row_is_not_stored(redact: Any) -> None:
    """Its field reads `{*}`; it is hidden by its name, by list and by function, in digests too."""
    how = Comparison(redact=redact)
    legacy, other = {**WIDE, "password": "hunter2"}, {**WIDE, "password": "swordfish"}
    found = compared(legacy, other, how)
    assert found.names == {"{*}"}
    by_digest = compare_digests(how, digest(legacy, how), digest(other, how))
    assert isinstance(by_digest, Compared)
    for one in (found, by_digest):
        assert "hunter2" not in one.diff()
        assert "swordfish" not in one.diff()


NOON_HERE = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("legacy", "concurrent"),
    [
        (Decimal("1234567890123456.78"), Decimal("1234567890123456.79")),
        (Decimal("0.1"), 0.1),
        (Decimal("0.5"), 0.5),
        (Decimal("1E+3"), 1000),
        (Decimal("9007199254740993"), 9007199254740993),
        (2**53, float(2**53)),
        (Decimal("1E+1000000"), Decimal("1E+1000001")),
        (Decimal("1E-1000000"), 0),
        (Decimal("NaN"), float("nan")),
        (Decimal("-0.0"), 0),
        (Decimal("0.10000000000000000000000000000000001"), "0.1"),
        (NOON_HERE, datetime(2026, 1, 1, 11, tzinfo=UTC)),
        (NOON_HERE, str(NOON_HERE)),
        (NOON_HERE.replace(tzinfo=None), NOON_HERE),
    ],
)
def test_one_text_for_what_is_equal_and_for_nothing_else(legacy: Any, concurrent: Any) -> None:
    """Unordered items and digests go by the text, all else by the values: they have to agree."""
    equal = compared(legacy, concurrent).equal
    assert (canonical(legacy, WHOLE, EXACT) == canonical(concurrent, WHOLE, EXACT)) is equal
    loose = Comparison(unordered=(WHOLE,))
    assert compared([legacy, 1], [1, concurrent], loose).equal is equal
    by_digest = compare_digests(EXACT, digest([legacy], EXACT), digest([concurrent], EXACT))
    assert isinstance(by_digest, Compared)
    assert by_digest.equal is equal
