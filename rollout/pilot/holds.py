"""What can hold an advance, and how a hold is named."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class HoldKind(StrEnum):
    """One kind of thing that holds an advance and is known without looking at any outcome."""

    FROZEN = "frozen"
    """A person froze the scope."""
    LOOKS = "looks"
    """The looks of this step are used up: a person decides."""
    BAKE = "bake"
    """The step has not lasted long enough, or its next look is not due."""
    CALENDAR = "calendar"
    """A freeze or a quiet time of the policy."""
    COOLDOWN = "cooldown"
    """A revert was made lately."""
    FLEET = "fleet"
    """Another sub-pipeline has just changed, or enough advances were made today."""
    JOBS_MIN = "jobs_min"
    """Fewer concurrent jobs than the policy asks for."""
    DRILLS = "drills"
    """Fewer comparable drill pairs than the policy asks for."""
    WAY_BACK = "way_back"
    """Legacy could not take everything back now."""
    SHADOW = "shadow"
    """The runs of stage shadow have not shown enough, or something worse."""
    OUTPUTS = "outputs"
    """Sampled shadows of a step show other outputs than legacy: a person decides."""
    PROVEN = "proven"
    """Everything is proven and the policy is not automatic: a person acts."""
    WORSE = "worse"
    """It should be reverted and the policy is not automatic: a person acts."""


NEED_A_PERSON = (HoldKind.LOOKS, HoldKind.OUTPUTS, HoldKind.PROVEN, HoldKind.WORSE)
"""Holds that end only when a person decides, and that nobody chose (as a freeze is)."""


def hold_window(step: int, kinds: Iterable[str]) -> str:
    """The window of a hold: the same decision while the same things hold it."""
    return f"{step}/hold/{'+'.join(dict.fromkeys(kinds))}".rstrip("/")


def holds_of(window: str) -> tuple[HoldKind, ...]:
    """The kinds that a hold's window names; empty for the window of any other decision."""
    parts = window.split("/")
    if len(parts) != 3 or parts[1] != "hold":
        return ()
    return tuple(HoldKind(kind) for kind in parts[2].split("+") if kind in set(HoldKind))
