"""Stored values: what a class stores is its fields, and nothing else is read as one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadState
from rollout.evidence.outputs import Outputs
from rollout.evidence.process import BettingState
from rollout.evidence.restarts import Restarts
from rollout.evidence.stored import Count, Flag, Number, Stored, StoredAs, Text, Time
from tests.evidence.strategies import counts


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@dataclass(frozen=True, slots=True)
class Note(Stored):
    """One field of each kind."""

    at: Time
    text: Text = ""
    seen: Count = 0
    share: Number = 0.0
    latched: Flag = False
    counts: Counts = NO_COUNTS
    lasts: Annotated[timedelta, StoredAs(Number, _seconds, timedelta.total_seconds)] = timedelta(0)


NOTE = Note(datetime(2026, 11, 26, 10, 0, 0, 5, tzinfo=UTC))
FORM: dict[str, Any] = {
    "at": "2026-11-26T10:00:00.000005+00:00",
    "text": "",
    "seen": 0,
    "share": 0.0,
    "latched": False,
    "counts": [0, 0, 0, 0],
    "lasts": 0.0,
}


def test_the_form_is_the_fields() -> None:
    """Names, order and plain values; times are `isoformat`, as they always were stored."""
    assert json.dumps(NOTE.to_json()) == json.dumps(FORM)
    assert json.loads(NOTE.to_text()) == FORM
    assert Note.from_json(FORM) == Note.from_text(json.dumps(FORM)) == NOTE


@pytest.mark.parametrize("name", list(FORM))
def test_what_is_missing_is_not_guessed(name: str) -> None:
    """A default is for those who build a value, and never for what was stored."""
    stored = {key: value for key, value in FORM.items() if key != name}
    with pytest.raises(BadState, match=name):
        Note.from_json(stored)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"at": 1_790_000_000},
        {"at": "2026-11-26T10:00:00"},
        {"text": 5},
        {"seen": True},
        {"seen": 1.0},
        {"seen": "1"},
        {"seen": -1},
        {"share": float("nan")},
        {"share": float("inf")},
        {"share": -0.1},
        {"share": "0.1"},
        {"share": True},
        {"latched": 1},
        {"latched": "true"},
        {"counts": [1, 2, 0, 0]},
        {"counts": [0, 0, 0]},
        {"counts": {"n_concurrent": 0}},
        {"counts": None},
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """As JSON and as text, with what was wrong in the sentence."""
    stored = {**FORM, **change}
    with pytest.raises(BadState, match=next(iter(change))):
        Note.from_json(stored)
    with pytest.raises(BadState):
        Note.from_text(json.dumps(stored))


@given(st.text() | st.sampled_from(["", "{", "[]", "null", "9" * 5_000, "[" * 5_000]))
def test_no_text_ends_in_another_error(text: str) -> None:
    """What is no stored value is BadState, whatever it is."""
    with pytest.raises(BadState):
        Note.from_text(text)


numbers = st.floats(0, allow_nan=False, allow_infinity=False)


@given(numbers, numbers, st.lists(numbers, max_size=4))
def test_numbers_come_back_to_the_last_digit(pend: float, age: float, lumps: list[float]) -> None:
    """A decision made again on what was stored must be the same decision."""
    value = Restarts(pend, age, tuple(lumps))
    assert Restarts.from_text(value.to_text()) == value
    assert Restarts.from_json(json.loads(json.dumps(value.to_json()))) == value


@given(counts(), st.lists(numbers, max_size=4))
def test_the_quick_codecs_write_the_same_form(scored: Counts, wealth: list[float]) -> None:
    """What is written by hand for speed is what the class says of itself."""
    state = BettingState(tuple(wealth), restarts=Restarts(0.5, 2.0, (1.0,)), scored=scored)
    assert Stored.to_json(state) == state.to_json()
    assert Stored.to_json(state.restarts) == state.restarts.to_json()
    assert Stored.to_json(scored) == scored.to_json()


def test_a_field_with_bets_of_another_release_is_refused() -> None:
    """Each field's bets are held against those of this release."""
    known = Outputs().observe(False, ["total"])
    stored: Any = known.to_json()
    assert Outputs.from_json(stored) == known
    stored["fields"][0][3]["wealth"] = [1.0]
    with pytest.raises(BadState, match="wealth"):
        Outputs.from_json(stored)
