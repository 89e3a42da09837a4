"""Which changes need a reason: those that take something away from somebody, or give it back."""

from rollout.errors import ReasonMissing
from rollout.routing.stages import Event

_NEEDS_REASON = frozenset({Event.REVERT, Event.KILL, Event.REARM})


def need_reason(event: Event, reason: str) -> None:
    """Refuse an event without the reason that it needs.

    Raises:
        ReasonMissing: It is empty.
    """
    if event in _NEEDS_REASON and not reason.strip():
        raise ReasonMissing(event)
