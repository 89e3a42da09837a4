"""What follows from a situation, as a value: the action, its reasons, every verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rollout.evidence.stored import Json
from rollout.evidence.verdict import Finding
from rollout.pilot.holds import HoldKind, hold_window
from rollout.pilot.situation import Situation
from rollout.routing.stages import Event


class Action(StrEnum):
    """What the controller does."""

    NONE = "none"
    """The sub-pipeline is not on trial."""
    HOLD = "hold"
    """The scope stays."""
    ADVANCE = "advance"
    """The scope grows to the next step."""
    GRADUATE = "graduate"
    """The trial ends well."""
    REVERT = "revert"
    """The scope is taken back."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows, and why.

    Attributes:
        action: What to do.
        event: The event of the stage table that does it; None changes nothing.
        to_bp: Scope after it; None keeps it.
        look: Whether the proofs were looked at, which uses up a look.
        person: Whether a person has to decide.
        window: Names the decision: the same window is decided once.
        findings: Every verdict with its numbers.
        reasons: One sentence for each thing that holds, or that reverts.
        sentence: The whole in one line.
        next_bp: Scope of the next step; None when there is none.
        next_at: Earliest time at which it can be taken; None when only events can tell.
    """

    action: Action
    event: Event | None
    to_bp: int | None
    look: bool
    person: bool
    window: str
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]
    sentence: str
    next_bp: int | None
    next_at: datetime | None

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "action": str(self.action),
            "event": None if self.event is None else str(self.event),
            "to_bp": self.to_bp,
            "look": self.look,
            "person": self.person,
            "window": self.window,
            "findings": [one.to_json() for one in self.findings],
            "reasons": list(self.reasons),
            "sentence": self.sentence,
            "next_bp": self.next_bp,
            "next_at": None if self.next_at is None else self.next_at.isoformat(),
        }


def still(
    situation: Situation,
    action: Action,
    sentence: str,
    findings: tuple[Finding, ...],
    reasons: tuple[str, ...],
    next_bp: int | None = None,
    next_at: datetime | None = None,
    *,
    person: bool = False,
    kinds: tuple[HoldKind, ...] = (),
) -> Judgement:
    """Change nothing. A hold is the same decision while the same things hold it."""
    window = (
        hold_window(situation.step, kinds)
        if action is Action.HOLD
        else f"{situation.step}/{action}"
    )
    return Judgement(
        action, None, None, False, person, window, findings, reasons, sentence, next_bp, next_at
    )
