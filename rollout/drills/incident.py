"""One incident of one path: when it began, was noticed and ended."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.stored import Stored, Text, Time


@dataclass(frozen=True, slots=True)
class Incident(Stored):
    """A path left its band.

    Attributes:
        onset_at: Start of the first window outside.
        detected_at: End of the window that made it an incident: m of n outside.
        recovered_at: Start of the first of k windows in a row inside; None while it lasts.
        gave_up_at: End of the window in which the cap was reached without recovery; None unless
            that happened. The recovery time is then censored: longer than the cap.
        sentence: What was outside, and how it ended, for the person on call.
    """

    onset_at: Time
    detected_at: Time
    recovered_at: Time | None
    gave_up_at: Time | None
    sentence: Text

    @property
    def lasts(self) -> bool:
        """Whether neither recovery nor the cap has ended it."""
        return self.recovered_at is None and self.gave_up_at is None

    @property
    def recovery_s(self) -> float | None:
        """Seconds from onset to recovery, or to giving up: the cap, or a window more.

        None while it lasts.
        """
        end = self.recovered_at or self.gave_up_at
        return None if end is None else (end - self.onset_at).total_seconds()
