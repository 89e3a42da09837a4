"""One fault on both paths: the unit that recovery is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from rollout.evidence.errors import BadDuration


@dataclass(frozen=True, slots=True)
class DrillPair:
    """One fault on both paths; recovery times in seconds, cut at the cap.

    Raises:
        BadDuration: A time is not in (0, cap_s], or the cap is not positive.
    """

    concurrent_s: float
    legacy_s: float
    cap_s: float

    def __post_init__(self) -> None:
        cap_s = self.cap_s
        if not (
            isfinite(cap_s) and 0.0 < self.concurrent_s <= cap_s and 0.0 < self.legacy_s <= cap_s
        ):
            raise BadDuration(
                "recovery times must lie in (0, cap_s]",
                (self.concurrent_s, self.legacy_s, self.cap_s),
                "use the cap for a path that had not recovered by then",
            )

    @property
    def both_censored(self) -> bool:
        """Whether neither path recovered in time, so that the pair compares nothing."""
        return self.concurrent_s >= self.cap_s and self.legacy_s >= self.cap_s
