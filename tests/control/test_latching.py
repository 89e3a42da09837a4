"""What a kill covers and a rearm lifts, as pure rules that every ledger asks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rollout.control.latching import check_rearm, covered, is_known, lifted
from rollout.errors import IllegalTransition
from rollout.routing.ports import Kill
from rollout.routing.stages import ALL, ControlState

_NOBODY = ControlState(ALL)
_ALL_KILLED = replace(_NOBODY, killed=True, kill_id="all")
_FREE = ControlState("notes")
_WITH_ALL = ControlState("parts", killed=True, kill_id="all")
_BY_ITSELF = ControlState("wires", killed=True, kill_id="own")
_EVERY = [_FREE, _WITH_ALL, _BY_ITSELF]


def test_a_kill_of_all_leaves_a_kill_of_one_alone() -> None:
    """It covers what is free and what an earlier kill of all has killed."""
    assert covered(_ALL_KILLED, _EVERY) == [_FREE, _WITH_ALL]
    assert covered(_NOBODY, [_FREE, _BY_ITSELF]) == [_FREE]


def test_a_rearm_of_all_lifts_no_kill_of_one() -> None:
    """Only what carries the id of the kill of all."""
    assert lifted(_ALL_KILLED, _EVERY) == [_WITH_ALL]


@pytest.mark.parametrize(
    ("name", "latch", "words"),
    [
        (None, _NOBODY, "while it is not killed"),
        ("parts", _ALL_KILLED, "while `kill --all` is latched"),
    ],
)
def test_a_rearm_is_refused_by_the_latch_of_all(
    name: str | None, latch: ControlState, words: str
) -> None:
    """All that are not killed, and one while all are."""
    with pytest.raises(IllegalTransition, match=words):
        check_rearm(name, latch)


def test_a_rearm_is_allowed_otherwise() -> None:
    """All that are killed, and one while all are not."""
    check_rearm(None, _ALL_KILLED)
    check_rearm("parts", _NOBODY)


def test_a_kill_that_was_had_already_changes_nothing() -> None:
    """Delivered twice, or late, after it was lifted; another one is another."""
    kill = Kill("own", "wires", "ann", "x", datetime(2026, 1, 1, tzinfo=UTC))
    assert is_known(_BY_ITSELF, kill)
    assert is_known(replace(_FREE, lifted_kill_id="own"), kill)
    assert not is_known(_WITH_ALL, kill)
