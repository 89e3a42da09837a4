"""Ticks merge until both paths have a job."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.evidence.blocks import EMPTY_BLOCK, BlockBuilder
from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadDuration, BadState
from rollout.evidence.stored import Json
from tests.evidence.strategies import NO_TICK_S, counts

LEGACY_ONLY = Counts(0, 0, 5, 1)


def test_block_closes_with_a_job_on_each_path() -> None:
    """Ticks of one path wait, and the tick that brings the other path closes the block."""
    builder, closed = EMPTY_BLOCK.add(LEGACY_ONLY, 10.0)
    assert closed is None
    builder, closed = builder.add(Counts(1, 1, 5, 0), 10.0)
    assert closed == Counts(1, 1, 10, 1)
    assert builder == EMPTY_BLOCK


def test_a_block_waits_for_the_other_path_as_long_as_it_takes() -> None:
    """A day of one path alone is kept: at 100 jobs a day the other one's comes when it comes."""
    builder = EMPTY_BLOCK
    for _ in range(24):
        builder, closed = builder.add(LEGACY_ONLY, 3600.0)
        assert closed is None
    builder, closed = builder.add(Counts(1, 0, 0, 0), 3600.0)
    assert (builder, closed) == (EMPTY_BLOCK, Counts(1, 0, 120, 24))


def test_a_block_of_the_last_release_is_read() -> None:
    """Its age is dropped, its jobs count."""
    stored: Json = {"counts": [0, 0, 5, 1], "age_s": 12.0}
    assert BlockBuilder.from_json(stored) == BlockBuilder(LEGACY_ONLY)
    with pytest.raises(BadState):
        BlockBuilder.from_json({"counts": [0, 0, 5, 1], "age": 12.0})


@settings(max_examples=30)
@given(st.lists(counts(3), max_size=30))
def test_no_job_is_counted_twice(ticks: list[Counts]) -> None:
    """Closed blocks and the open one add up to what came in."""
    builder, total = EMPTY_BLOCK, NO_COUNTS
    for tick in ticks:
        builder, closed = builder.add(tick, 10.0)
        if closed is not None:
            assert closed.both_paths
            total = total + closed
    assert total + builder.counts == sum(ticks, NO_COUNTS)
    assert BlockBuilder.from_json(builder.to_json()) == builder


@given(NO_TICK_S)
def test_impossible_tick_is_refused(tick_s: float) -> None:
    """A clock that went backwards, NaN and a month's silence raise BadDuration."""
    with pytest.raises(BadDuration, match="tick_s must lie in"):
        EMPTY_BLOCK.add(LEGACY_ONLY, tick_s)
