"""What the checker finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    kind: str
    job: str
    said: str
