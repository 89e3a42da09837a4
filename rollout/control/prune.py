"""Deletes what is over: old committed jobs, some rows at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

PRUNE_BATCH = 1000
"""Rows of one transaction, so that no worker waits long for SQLite's single writer."""


class Prunable(Protocol):
    """The ledger, as far as jobs are deleted from it."""

    def prune(self, finished_before: datetime, limit: int) -> int:
        """Delete committed jobs that finished before then; how many. Raises LedgerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many committed jobs were deleted; unfinished and failed ones stay."""

    jobs: int
    finished_before: datetime

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {"pruned": self.jobs, "finished_before": self.finished_before.isoformat()}


def prune(ledger: Prunable, finished_before: datetime) -> Pruned:
    """Delete all committed jobs that finished before then.

    Raises:
        LedgerUnreachable: The ledger does not answer; what was deleted by then is gone.
    """
    jobs = 0
    while batch := ledger.prune(finished_before, PRUNE_BATCH):
        jobs += batch
    return Pruned(jobs, finished_before)
