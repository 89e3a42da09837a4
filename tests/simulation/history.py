"""What happened, in order: the one thing the judge reads and a failing run prints."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ControlState


class Happening(NamedTuple):
    """One event at a virtual time in seconds, by the actor that made it."""

    at_s: float
    who: str
    what: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        """One line: week, time of the week, who, what, facts."""
        week, rest_s = divmod(self.at_s, 604_800)
        at = str(timedelta(seconds=round(rest_s, 3)))
        facts = " ".join(f"{name}={_short(value)}" for name, value in self.facts.items())
        return f"week {int(week):4} {at:>22}  {self.who:18} {self.what:18} {facts}"


def _short(value: Any) -> str:
    if isinstance(value, ControlState):
        held = " killed" * value.killed + " frozen" * value.frozen
        return f"({value.stage} {value.scope_bp}{held}, revision {value.revision})"
    if isinstance(value, TransitionRecord):
        return f"{value.name} {value.event} {_short(value.before)} -> {_short(value.after)}"
    if isinstance(value, list | tuple | dict | set | frozenset) and len(value) > 6:
        return f"({len(value)} items)"
    return str(value)


def label(name: str, job_id: str) -> str:
    """What the history calls a job: two sub-pipelines may have jobs of one id."""
    return f"{name} {job_id}"


class History:
    """Events since the last `take`; all of them when `keep` is set."""

    def __init__(self, *, keep: bool = False) -> None:
        self._events: list[Happening] = []
        self._kept: list[Happening] | None = [] if keep else None

    def add(self, at_s: float, who: str, what: str, facts: dict[str, Any]) -> None:
        """Append one event."""
        self._events.append(Happening(at_s, who, what, facts))

    def take(self) -> list[Happening]:
        """Give the events since the last call."""
        events, self._events = self._events, []
        if self._kept is not None:
            self._kept += events
        return events

    def __iter__(self) -> Iterator[Happening]:
        """All events that are kept."""
        return iter([*(self._kept or []), *self._events])
