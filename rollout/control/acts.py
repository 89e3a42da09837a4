"""The log of acts: what somebody tried through a door, also what was refused or changed nothing.

The log of changes (`transition`) has what is in force since; this one has who knocked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rollout.control.access import Origin


class Came(StrEnum):
    """What came of an act."""

    DONE = "done"
    """It is in force."""
    NOTHING = "nothing"
    """It was so already; nothing changed."""
    REFUSED = "refused"
    """It was refused; nothing changed."""
    UNANSWERED = "unanswered"
    """A server did not answer, so it is not in force, or only half."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act. `name` None concerns all sub-pipelines, or none; `said` is the answer's sentence."""

    at: datetime
    actor: str
    origin: Origin
    action: str
    name: str | None
    reason: str
    came: Came
    said: str
    act_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "id": self.act_id,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "door": self.origin.door,
            "request_id": self.origin.request_id,
            "address": self.origin.address,
            "action": self.action,
            "sub_pipeline": self.name,
            "reason": self.reason,
            "came": str(self.came),
            "said": self.said,
        }


class ActLog(Protocol):
    """The ledger's append-only log of acts. Both raise LedgerUnreachable."""

    def note_act(self, act: Act) -> None:
        """Append an act; nothing in the log is ever changed."""
        ...

    def acts(self, name: str | None, limit: int, before: int | None = None) -> list[Act]:
        """Read acts, newest first.

        Args:
            name: Those of one sub-pipeline; None for all.
            limit: At most so many.
            before: Only those with a smaller id; None begins with the newest.
        """
        ...
