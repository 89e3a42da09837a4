"""What the finished jobs of a step add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.stored import Json


@dataclass(frozen=True, slots=True)
class Totals:
    """All finished jobs of a step, and the unfinished ones that are slow already.

    Here a job that failed on both paths is a failure of the concurrent path: nobody knows whether
    it would have failed on legacy alone, and legacy's own bad inputs count against legacy. phi is
    the spread of hourly differences, 1 when it is that of chance.
    """

    failures: Counts = NO_COUNTS
    median: Counts = NO_COUNTS
    tail: Counts = NO_COUNTS
    phi_failures: float = 1.0
    phi_median: float = 1.0
    phi_tail: float = 1.0
    both_failed: int = 0
    unjudged: int = 0


NO_TOTALS = Totals()
"""Of a step that has just begun."""


def totals_json(totals: Totals) -> Json:
    """Give a plain object."""
    return {
        "failures": totals.failures.to_json(),
        "median": totals.median.to_json(),
        "tail": totals.tail.to_json(),
        "phi": [totals.phi_failures, totals.phi_median, totals.phi_tail],
        "both_failed": totals.both_failed,
        "unjudged": totals.unjudged,
    }


def totals_from_json(payload: Mapping[str, Any]) -> Totals:
    """Read what `totals_json` gave; raises KeyError, TypeError, BadCounts."""
    phi_failures, phi_median, phi_tail = payload["phi"]
    return Totals(
        Counts.from_json(payload["failures"]),
        Counts.from_json(payload["median"]),
        Counts.from_json(payload["tail"]),
        phi_failures,
        phi_median,
        phi_tail,
        payload["both_failed"],
        payload["unjudged"],
    )
