"""When something was hurt, so that a rule can say: not then, and not for a moment after."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.crash.history import Event


@dataclass(frozen=True, slots=True)
class Window:
    """One fault: its kind and target, and from when until when, in shared ns."""

    kind: str
    target: str
    since: int
    until: int

    def meets(self, since: int, until: int) -> bool:
        """Whether it overlaps this span."""
        return self.since <= until and since <= self.until


def windows(events: Iterable[Event], after_s: float) -> list[Window]:
    """Every fault of a history, `after_s` longer than it lasted: what it broke has to come back."""
    begun: dict[int, Event] = {}
    ended: dict[int, int] = {}
    last = 0
    for event in events:
        last = max(last, int(event["t"]))
        if event["what"] == "fault begun":
            begun[event["n"]] = event
        elif event["what"] == "fault ended":
            ended[event["n"]] = int(event["t"])
    return [
        Window(
            event["kind"],
            event["target"],
            int(event["t"]),
            ended.get(number, last) + int(after_s * 1e9),
        )
        for number, event in begun.items()
    ]
