"""What sizing a policy needs from the ledger: how much comes, and what was declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rollout.routing.effects import Effects

LONGEST = timedelta(days=7)
"""Of one sub-pipeline alone those are counted that were admitted at most so long before: its jobs
are found by their admission, and one that takes longer is none of a week's traffic."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Finished jobs of one sub-pipeline in a span that ends now.

    `legacy_jobs` are those that routing assigned to legacy, `legacy_failed` those of them that
    failed for good. `first_at` is when the first of all of them finished.
    """

    name: str
    jobs: int
    legacy_jobs: int
    legacy_failed: int
    first_at: datetime

    def and_also(self, other: "Arrived") -> "Arrived":
        """Both counts together."""
        return Arrived(
            self.name,
            self.jobs + other.jobs,
            self.legacy_jobs + other.legacy_jobs,
            self.legacy_failed + other.legacy_failed,
            min(self.first_at, other.first_at),
        )


class Arrivals(Protocol):
    """What a person asks the ledger before a trial: how much comes, and what was declared."""

    def arrivals(self, since: datetime, name: str | None = None) -> list[Arrived]:
        """Count the jobs of each, or one, that have finished since then, by name."""
        ...

    def declared_effects(self) -> Mapping[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        ...
