"""What the judge finds."""

from dataclasses import dataclass

from tests.simulation.history import Happening


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    kind: str
    subject: str
    said: str
    event: Happening

    def __str__(self) -> str:
        """One line, with the event at which it showed."""
        return f"{self.kind}: {self.subject} {self.said}\n  {self.event}"
