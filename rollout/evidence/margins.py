"""The ladder of margins: what a step may be worse by and still be promoted.

Small scopes see few jobs and risk little, so they pass with a wide margin; the top proves the
strict one, which is also the margin of the revert test.

Source: evidence method, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.betting import Margin


@dataclass(frozen=True, slots=True)
class StepMargin:
    """What one step may be worse by.

    Attributes:
        error: On failure rates.
        median_shift: Buckets the concurrent median may lie higher; one is 2.02 %.
        tail_shift: The same for the 95th percentile.
        recovery_ratio: Concurrent over legacy recovery time.
    """

    error: Margin
    median_shift: int
    tail_shift: int
    recovery_ratio: float


LADDER = (
    (400, StepMargin(Margin(1.50, 0.0025), 3, 5, 1.5)),
    (3200, StepMargin(Margin(1.25, 0.0010), 2, 3, 1.5)),
    (10_000, StepMargin(Margin(1.10, 0.0005), 2, 2, 1.25)),
)
"""Largest scope in basis points, and the margin up to it."""
