"""Ticks merge until both paths have a job."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.evidence.blocks import BLOCK_AGE_S_MAX, EMPTY_BLOCK, BlockBuilder
from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.errors import BadDuration
from tests.evidence.strategies import NO_TICK_S, counts

LEGACY_ONLY = Counts(0, 0, 5, 1)


def test_block_closes_with_a_job_on_each_path() -> None:
    """Ticks of one path wait, and the tick that brings the other path closes the block."""
    builder, closed = EMPTY_BLOCK.add(LEGACY_ONLY, 10.0)
    assert closed is None
    builder, closed = builder.add(Counts(1, 1, 5, 0), 10.0)
    assert closed == Counts(1, 1, 10, 1)
    assert builder == EMPTY_BLOCK


def test_block_open_for_too_long_is_discarded() -> None:
    """After 30 minutes the old ticks are dropped, the new one begins a block."""
    builder = EMPTY_BLOCK
    for _ in range(round(BLOCK_AGE_S_MAX / 10.0)):
        builder, closed = builder.add(LEGACY_ONLY, 10.0)
        assert closed is None
    builder, closed = builder.add(Counts(1, 0, 0, 0), 10.0)
    assert (builder, closed) == (BlockBuilder(Counts(1, 0, 0, 0), 10.0), None)


def test_one_tick_longer_than_the_limit_is_kept() -> None:
    """A controller that ticks once an hour still compares the jobs of that hour."""
    _, closed = EMPTY_BLOCK.add(Counts(2, 0, 3, 0), 3600.0)
    assert closed == Counts(2, 0, 3, 0)


@settings(max_examples=30)
@given(st.lists(counts(3), max_size=30))
def test_no_job_is_counted_twice(ticks: list[Counts]) -> None:
    """Closed blocks and the open one add up to what came in, while nothing is discarded."""
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
