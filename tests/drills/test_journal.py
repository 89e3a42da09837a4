"""A journal is found by its drill's id, through whichever door it is asked for."""

import pytest

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.drills.errors import BadDrill
from rollout.drills.journal import Journal
from rollout.drills.ports import DrillEvent
from rollout.drills.recorded import journal_of
from tests.builders import NAME, NOW
from tests.hand_clock import HandClock


def kept(*drill_ids: str) -> MemoryLedger:
    """A ledger with the first line of some drills."""
    ledger = MemoryLedger()
    ledger.append_drill([DrillEvent(one, NAME, NOW, "declared", {}) for one in drill_ids])
    return ledger


@pytest.mark.parametrize("asked", ["abc-1", "abc-2", "x"])
def test_a_whole_id_or_a_beginning_that_names_one(asked: str) -> None:
    """What a person copies from the list is often cut."""
    (event,) = journal_of(kept("abc-1", "abc-2", "xyz"), asked)
    assert event.drill_id.startswith(asked)


@pytest.mark.parametrize("asked", ["abc", "y", ""])
def test_what_names_none_or_several_is_refused(asked: str) -> None:
    """With the command that shows them."""
    with pytest.raises(BadDrill, match="no drill with id"):
        journal_of(kept("abc-1", "abc-2"), asked)


def test_a_line_is_told_once_it_can_be_looked_up() -> None:
    """Whoever began a drill by API is given its id by the first line, and asks for it at once."""
    ledger, found = MemoryLedger(), list[int]()

    def say(event: DrillEvent) -> None:
        found.append(len(ledger.drill_events(event.drill_id)))

    Journal(ledger, HandClock(), "abc-1", NAME, say).write("declared")
    assert found == [1]
