"""Counts that cannot be are refused, with a message that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadCounts, BadState, EvidenceError
from tests.evidence.strategies import NO_COUNT, counts


@given(NO_COUNT)
def test_what_is_no_count_is_refused(value: Any) -> None:
    """NaN, negative, fractional, boolean, text and absurd numbers of jobs raise BadCounts."""
    with pytest.raises(BadCounts, match="must be a whole number"):
        Counts(value, 0, 6, 0)


def test_more_hits_than_jobs_are_refused() -> None:
    """The message names the field, the limit, what came and what to do."""
    with pytest.raises(BadCounts) as caught:
        Counts(6, 7, 6, 0)
    assert str(caught.value) == (
        "k_concurrent must be a whole number in 0..6, got 7; "
        "count the jobs of this window again from the ledger"
    )
    assert caught.value.came == 7
    assert isinstance(caught.value, EvidenceError)


@given(counts(), counts())
def test_windows_merge_and_come_back(first: Counts, second: Counts) -> None:
    """Merging is commutative and what was stored is what comes back."""
    assert first + second == second + first
    assert Counts.from_json((first + second).to_json()) == first + second


@pytest.mark.parametrize("payload", [None, [1, 2, 3], [6, "0", 6, 0], [6, -1, 6, 0], {"n": 1}])
def test_stored_counts_of_another_shape_are_refused(payload: Any) -> None:
    """A stored value that is no four counts raises BadState instead of being guessed at."""
    with pytest.raises(BadState):
        Counts.from_json(payload)
