"""The journal of a drill: lines on their way into the ledger, which may be away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from rollout.drills.errors import BadDrill
from rollout.drills.ports import DrillEvent, DrillLedger, Journals
from rollout.errors import LedgerUnreachable
from rollout.routing.clock import Clock

_DRILLS_BACK = 10_000
"""Drills among which an abbreviated id is looked up."""

log = structlog.get_logger("rollout.drill")


@dataclass(slots=True)
class Journal:
    """Lines on their way into the ledger; kept here while it is away."""

    ledger: DrillLedger
    clock: Clock
    drill_id: str
    name: str
    say: Callable[[DrillEvent], None]
    waiting: list[DrillEvent] = field(default_factory=list)

    def write(self, what: str, at: datetime | None = None, **facts: Any) -> None:
        """Append a line and try to store all that wait."""
        event = DrillEvent(self.drill_id, self.name, at or self.clock.now(), what, facts)
        self.waiting.append(event)
        self.say(event)
        self.flush()

    def flush(self) -> bool:
        """Store what waits; False while the ledger is away."""
        try:
            self.ledger.append_drill(self.waiting)
        except LedgerUnreachable as error:
            log.warning("journal waits for the ledger", why=str(error))
            return False
        self.waiting.clear()
        return True


def journal_of(ledger: Journals, drill_id: str) -> list[DrillEvent]:
    """Read a drill's journal by its id, or by as much of the id's beginning as names one drill.

    Raises:
        BadDrill: There is no such drill, or the beginning names several.
    """
    events = ledger.drill_events(drill_id)
    if events:
        return events
    found = {event.drill_id for event in ledger.drills(None, _DRILLS_BACK)}
    close = [one for one in found if drill_id and one.startswith(drill_id)]
    if len(close) != 1:
        raise BadDrill(f"no drill with id {drill_id!r}", "`rollout drill list` shows them")
    return ledger.drill_events(close[0])
