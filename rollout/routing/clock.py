"""Time as a port: what reads a clock takes it from outside."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time, passed in so that a decision can be replayed."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Seconds from an unknown point, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
