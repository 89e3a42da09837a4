"""What sizing a policy needs from the ledger: how much comes, and what was declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rollout.routing.effects import Effects


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

    def arrivals(self, since: datetime) -> list[Arrived]:
        """Count the jobs of each sub-pipeline that have finished since then, by name."""
        ...

    def declared_effects(self) -> Mapping[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        ...
