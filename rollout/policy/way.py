"""The way of a trial: which steps of the ladder this traffic can use.

A step that hardly any job meets proves nothing and is left out; a trial that its shadow has proved
need not begin at the bottom; and a first step must not put the whole budget at stake at once.

Source: small-pilots method, section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

JOBS_A_WEEK_MIN = 50
"""A step with fewer concurrent jobs a week is left out, up to `SURE_BP`."""

SURE_BP = 1250
"""From here on a step is taken however few its jobs are; a proven shadow begins here."""

JOBS_BEFORE_REVERT = 10.0
"""What a total failure costs before the revert tests have seen it."""

ARRIVALS_S = 300.0
"""The jobs that arrive in this time are hurt as well: five minutes."""

WEEK_S = 7 * 86_400.0
BP_ALL = 10_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the jobs were like before the trial.

    Attributes:
        jobs_a_week: On both paths, in seven policy days.
        rate_failed: Legacy's failure rate, 0..1.
    """

    jobs_a_week: float
    rate_failed: float = 0.0


def at_stake(jobs_a_week: float, scope_bp: float) -> float:
    """Give the concurrent jobs that a total failure of a step hurts before the revert."""
    return JOBS_BEFORE_REVERT + jobs_a_week * scope_bp / BP_ALL * ARRIVALS_S / WEEK_S


def steps_for(
    ladder_bp: Sequence[int], jobs_a_week: float, budget_failed: float, *, shadowed: bool
) -> tuple[int, ...]:
    """Give the steps that a trial takes, in basis points.

    Args:
        ladder_bp: All steps, growing.
        jobs_a_week: Jobs a week on both paths.
        budget_failed: Extra failed jobs a week that the pilot may cost.
        shadowed: Whether its shadow has been proven.

    Returns:
        Growing scopes. Where the budget is smaller than what a total failure of the first step
        costs, the trial begins below the ladder, as long as a step has jobs enough to prove
        anything. Empty only for an empty ladder.
    """

    def fits(scope_bp: int) -> bool:
        small = jobs_a_week * scope_bp / BP_ALL < JOBS_A_WEEK_MIN
        return scope_bp >= SURE_BP or not (small or shadowed)

    steps = [step for step in ladder_bp if fits(step)] or list(ladder_bp[-1:])
    while steps and at_stake(jobs_a_week, steps[0]) > budget_failed:
        lower, arriving = steps[0] // 2, at_stake(jobs_a_week, steps[0]) - JOBS_BEFORE_REVERT
        if arriving < 1.0 or lower < 1 or jobs_a_week * lower / BP_ALL < JOBS_A_WEEK_MIN:
            break  # a lower step would save nothing, or see nothing
        steps.insert(0, lower)
    return tuple(steps)
