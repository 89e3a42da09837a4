"""The demo's frame: a story that fails, with and without somebody who looks on."""

import pytest

from rollout.demo.drive import _tell

WHY = "the jobs ran out before the revert"


def fails() -> None:
    """A story that somebody's kill has cut short."""
    raise RuntimeError(WHY)


def test_a_story_that_fails_leaves_the_page() -> None:
    """Whoever pressed the switch to see what it does still has the page, and is told why."""
    told: list[str] = []
    _tell(fails, told.append, stay=True)
    assert told[0] == f"error: {WHY}"
    assert "the page goes on" in told[1]


def test_without_a_page_it_ends() -> None:
    """Nobody looks on, so the command ends with its error."""
    with pytest.raises(RuntimeError, match=WHY):
        _tell(fails, print, stay=False)
