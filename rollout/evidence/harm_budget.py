"""The harm budget: how many extra bad jobs a week a pilot may cost, and what that leaves a step.

A small pilot can do little harm, so a step need not show a fixed ratio: it has to show that the
next step keeps to a budget of extra bad jobs a week. A loss inside the budget is promoted; that is
what a budget means, and people are told so.

Source: small-pilots method, section 1; decision 0023.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

from rollout.evidence.betting import Margin
from rollout.evidence.errors import BadRate

JOBS_FLOOR = 12.0
"""What a total failure costs before the revert tests have seen it; less cannot be promised."""

DEVIATIONS = 5.0
"""A bad week of legacy could hide so many standard deviations of its own bad jobs."""

RATIO = 0.10
"""Share of v = q (1 - q) by which the strictest margin lets the rate grow; rules at volume."""

ABSOLUTE = 0.0005
"""Added to that: a share of all jobs. With `RATIO` it is the margin of the revert tests."""

MARGIN_MAX = 0.25
"""A step that a quarter of its jobs could spoil has shown nothing."""

LATE_RATE = 0.05
"""Share of legacy's jobs beyond legacy's own 95th percentile."""

SLOW_RATE = 0.5
"""The same beyond its median."""

SCORE_LIMIT = -2.35
"""A score at or under this proves a step at any of its looks.

The exact limit for 15 half-bake looks at alpha .05 is -2.3036 (`ops/evidence/crossing.py`); the
rest is left to small counts, whose score is only nearly normal.
"""


@dataclass(frozen=True, slots=True)
class HarmBudget:
    """Extra events a week that a pilot may cost.

    Attributes:
        failed: Failed jobs.
        late: Jobs beyond legacy's 95th percentile.
        slow: Jobs beyond legacy's median.

    Raises:
        BadRate: One is not positive, or not finite.
    """

    failed: float
    late: float
    slow: float

    def __post_init__(self) -> None:
        if not all(isfinite(one) and one > 0 for one in (self.failed, self.late, self.slow)):
            raise BadRate(
                "a harm budget needs more than 0 jobs a week for each event",
                (self.failed, self.late, self.slow),
                "state budget_failed and budget_late as jobs a week, or leave them out",
            )

    def times(self, factor: float) -> HarmBudget:
        """Give the budget so many times as large."""
        return HarmBudget(self.failed * factor, self.late * factor, self.slow * factor)


def automatic(rate: float, jobs_a_week: float) -> float:
    """Give the budget of one event that nobody stated.

    Args:
        rate: Legacy's rate of the event, 0..1.
        jobs_a_week: Jobs a week on both paths, >= 0.

    Returns:
        Extra events a week, at least 12.

    Raises:
        BadRate: A number is out of range.
    """
    if not (0.0 <= rate <= 1.0 and 0.0 <= jobs_a_week < float("inf")):
        raise BadRate(
            "a budget needs a rate in 0..1 and jobs a week >= 0",
            (rate, jobs_a_week),
            "divide events by jobs",
        )
    spread = rate * (1 - rate)
    return max(
        JOBS_FLOOR,
        DEVIATIONS * sqrt(spread * jobs_a_week),
        (RATIO * spread + ABSOLUTE) * jobs_a_week,
    )


def budget_for(
    rate_failed: float,
    jobs_a_week: float,
    failed: float | None = None,
    late: float | None = None,
) -> HarmBudget:
    """Give the budget in force: what was stated, and the automatic one for what was not.

    Args:
        rate_failed: Legacy's failure rate of the seven days before the trial, 0..1.
        jobs_a_week: Jobs a week on both paths.
        failed: Stated extra failed jobs a week; None for the automatic budget.
        late: The same for late jobs.
    """
    return HarmBudget(
        automatic(rate_failed, jobs_a_week) if failed is None else failed,
        automatic(LATE_RATE, jobs_a_week) if late is None else late,
        automatic(SLOW_RATE, jobs_a_week),
    )


def margin(budget: float, jobs_a_week: float, share_next: float) -> Margin:
    """Give what a step has to show of one event: the rate may be this many points higher.

    Args:
        budget: Extra events a week, > 0.
        jobs_a_week: Jobs a week on both paths, > 0.
        share_next: Share of jobs that the next step puts on the concurrent path, in (0, 1].

    Returns:
        A margin in points, at most 25: at the next step it costs the budget and no more.

    Raises:
        BadRate: A number is out of range.
    """
    if not (budget > 0.0 and jobs_a_week > 0.0 and 0.0 < share_next <= 1.0):
        raise BadRate(
            "a margin needs a budget, jobs a week and the share of the next step",
            (budget, jobs_a_week, share_next),
            "all three are larger than 0, and a share is at most 1",
        )
    return Margin(1.0, min(MARGIN_MAX, budget / (jobs_a_week * share_next)))
