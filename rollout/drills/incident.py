"""One incident of one path: when it began, was noticed and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollout.evidence.errors import BadState
from rollout.evidence.stored import Json, read_object

_KEYS = ["onset_at", "detected_at", "recovered_at", "gave_up_at", "sentence"]


@dataclass(frozen=True, slots=True)
class Excursion:
    """A path left its band.

    Attributes:
        onset_at: Start of the first window outside.
        detected_at: End of the window that made it an incident: m of n outside.
        recovered_at: Start of the first of k windows in a row inside; None while it lasts.
        gave_up_at: End of the window in which the cap was reached without recovery; None unless
            that happened. The recovery time is then censored: longer than the cap.
        sentence: What was outside, and how it ended, for the person on call.
    """

    onset_at: datetime
    detected_at: datetime
    recovered_at: datetime | None
    gave_up_at: datetime | None
    sentence: str

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

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "onset_at": self.onset_at.isoformat(),
            "detected_at": self.detected_at.isoformat(),
            "recovered_at": None if self.recovered_at is None else self.recovered_at.isoformat(),
            "gave_up_at": None if self.gave_up_at is None else self.gave_up_at.isoformat(),
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, payload: Json) -> Excursion:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, _KEYS)
        sentence = stored["sentence"]
        if not isinstance(sentence, str):
            raise BadState("a stored sentence must be text", sentence, "start the watch afresh")
        return cls(
            read_time(stored["onset_at"]),
            read_time(stored["detected_at"]),
            read_time_or_none(stored["recovered_at"]),
            read_time_or_none(stored["gave_up_at"]),
            sentence,
        )


def read_time(payload: Json) -> datetime:
    """Give an aware time back from its ISO 8601 text, else raise BadState."""
    try:
        at = datetime.fromisoformat(payload) if isinstance(payload, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadState("a stored time must be ISO 8601 with a zone", payload, "start afresh")
    return at


def read_time_or_none(payload: Json) -> datetime | None:
    """Give None for None, else what `read_time` gives."""
    return None if payload is None else read_time(payload)
