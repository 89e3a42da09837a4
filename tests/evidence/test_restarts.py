"""The stake over any 28 days is at most 1: the sum that bounds false reverts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.evidence.restarts import NO_STAKE, PERIOD_S, Restarts

DAY_S = 86_400.0


def test_four_steps_and_28_days_stake_exactly_one() -> None:
    """0.5 arrives evenly and 4 x 0.125 with the steps."""
    restarts = NO_STAKE
    for day in range(28):
        if day % 7 == 0:
            restarts = restarts.change_scope()
        restarts = restarts.tick(DAY_S)
    assert restarts.pend == pytest.approx(1.0, rel=1e-12)


@given(st.lists(st.tuples(st.floats(0, 5 * DAY_S), st.booleans()), max_size=60))
def test_no_28_days_stake_more_than_one(events: list[tuple[float, bool]]) -> None:
    """However often the scope changes, the stakes placed within any period add up to <= 1."""
    restarts, placed = NO_STAKE, []
    for tick_s, changes in events:
        if changes:
            restarts = restarts.change_scope()
        restarts = restarts.tick(tick_s)
        # The stake of a tick belongs to the whole tick, so it counts from where the tick began.
        placed.append((restarts.elapsed_s - tick_s, restarts.elapsed_s, restarts.pend))
        restarts = restarts.spent()
    for begin, _, _ in placed:
        inside = [pend for start, end, pend in placed if start >= begin and end < begin + PERIOD_S]
        assert sum(inside) <= 1.0 + 1e-9


def test_fifth_change_of_scope_in_a_period_stakes_nothing() -> None:
    """A controller that flaps gets no more chances to revert falsely."""
    restarts = NO_STAKE
    for _ in range(9):
        restarts = restarts.change_scope()
    assert restarts.pend == 0.5
    later = restarts.spent().tick(PERIOD_S).spent().change_scope()
    assert later.pend == 0.125


def test_budget_comes_back_from_storage() -> None:
    """What JSON keeps is what comes back."""
    restarts = NO_STAKE.change_scope().tick(10.0).change_scope()
    assert Restarts.from_json(restarts.to_json()) == restarts
