"""Envelopes: what JSON carries, what it does not, and how large it may be."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.envelope import from_json, seal, to_json
from rollout.errors import ArgumentsUnusable, PayloadTooLarge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "__type__" not in repr(value))


@given(JSON)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    """Also texts with NUL or other control characters."""
    assert from_json(to_json("x", "the result", value)) == value


@pytest.mark.parametrize(
    "value", [datetime(2026, 11, 2, tzinfo=UTC), Decimal("1.10"), UUID(int=5)], ids=str
)
def test_types_that_celery_carries_come_back(value: Any) -> None:
    """The same as in a Celery message."""
    assert from_json(to_json("x", "the result", [value])) == [value]


def endless() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, endless(), b"\xff\xfe"], ids=["object", "key", "endless", "b"]
)
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    """With the name, what it was, and a hint; bytes are carried as Celery does."""
    if isinstance(value, bytes):
        assert from_json(to_json("x", "the result", value)) == value
        return
    with pytest.raises(ArgumentsUnusable, match="the result of 'x' must be carried by JSON"):
        to_json("x", "the result", value)


def test_an_envelope_is_measured_in_bytes() -> None:
    """The limit is inclusive."""
    parts = {"headers": {"id": "1"}, "body": ["ä"]}
    size = len(seal("x", parts, 10_000).encode())
    assert from_json(seal("x", parts, size)) == parts
    with pytest.raises(PayloadTooLarge) as caught:
        seal("x", parts, size - 1)
    assert (caught.value.size_bytes, caught.value.size_bytes_max) == (size, size - 1)
