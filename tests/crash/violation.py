"""What the checker finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise. `excused` is a loss that the README says is not promised away."""

    kind: str
    job: str
    said: str
    excused: bool = False
