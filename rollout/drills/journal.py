"""The journal of a drill: lines on their way into the ledger, which may be away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from rollout.drills.ports import DrillEvent, DrillLedger
from rollout.errors import LedgerUnreachable
from rollout.routing.clock import Clock

log = structlog.get_logger("rollout.drill")

LEDGER_WAIT_S = 60.0
"""Longest wait at the end of a drill for a ledger that is away."""


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
        """Append a line, try to store all that wait, then tell: who is told may look it up."""
        event = DrillEvent(self.drill_id, self.name, at or self.clock.now(), what, facts)
        self.waiting.append(event)
        self.flush()
        self.say(event)

    def flush(self) -> bool:
        """Store what waits; False while the ledger is away."""
        try:
            self.ledger.append_drill(self.waiting)
        except LedgerUnreachable as error:
            log.warning("journal waits for the ledger", why=str(error))
            return False
        self.waiting.clear()
        return True

    def wait_for_ledger(self) -> None:
        """Wait for a ledger that is away just now: nobody writes these lines later.

        What is stored behind the journal, the result of maybe an hour, would be lost with it.
        """
        until = self.clock.now() + timedelta(seconds=LEDGER_WAIT_S)
        while not self.flush() and self.clock.now() < until:
            self.clock.sleep(1)
