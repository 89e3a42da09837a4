"""A clock that a test moves by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """`ports.Clock` that stands still; `sleep` moves it at once and is remembered."""

    at: datetime = START
    stepped: timedelta = timedelta()
    slept_s: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """Aware UTC time."""
        return self.at + self.stepped

    def monotonic(self) -> float:
        """Seconds since the clock's start."""
        return (self.at - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Move on without waiting."""
        self.slept_s.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on by hand."""
        self.at += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock ahead or back; the monotonic one does not notice."""
        self.stepped += timedelta(seconds=seconds)
