"""The ladder: which step comes first, next and before, under a policy and a holdback.

Nothing else works that out: the judgement, the fleet, a person's `start`, rehearsals and the
pages that show a policy ask here. Scopes are basis points of jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rollout.policy.way import Baseline, steps_for
from rollout.routing.stages import ControlState, Event

if TYPE_CHECKING:  # heavy: a kill and a worker build `FirstSteps` and never ask it
    from rollout.evidence.harm_budget import HarmBudget
    from rollout.policy.policy import Policies, Policy


def budget_of(policy: Policy, baseline: Baseline) -> HarmBudget:
    """What the pilot may cost: as the policy states it, else by its traffic."""
    from rollout.evidence.harm_budget import budget_for

    return budget_for(
        baseline.rate_failed, baseline.jobs_a_week, policy.budget_failed, policy.budget_late
    )


def steps_bp(
    policy: Policy, holdback_bp: int, baseline: Baseline | None = None, *, shadowed: bool = False
) -> tuple[int, ...]:
    """The steps as they can be taken: what lies above the limit is taken at the limit.

    Args:
        policy: The policy in force. A ladder that it states is taken as it stands.
        holdback_bp: The one declared in code.
        baseline: Whose traffic chooses the steps; None takes them all.
        shadowed: Whether a shadow of this trial has been proven.

    Returns:
        Growing scopes; empty when the limit leaves no job.
    """
    limit = policy.scope_limit_bp(holdback_bp)
    ladder_bp = policy.ladder
    if policy.ladder_bp is None and baseline is not None:
        budget = budget_of(policy, baseline).failed
        ladder_bp = steps_for(ladder_bp, baseline.jobs_a_week, budget, shadowed=shadowed)
    steps = dict.fromkeys(min(step, limit) for step in ladder_bp)
    return tuple(step for step in steps if step > 0)


def steps_from(policy: Policy, holdback_bp: int, first: int | None) -> tuple[int, ...]:
    """The steps of a trial that begins at a scope set by hand; None for the policy's first."""
    steps = steps_bp(policy, holdback_bp)
    return steps if first is None else (first, *(one for one in steps if one > first))


def first_bp(
    policy: Policy, holdback_bp: int, baseline: Baseline | None = None, *, shadowed: bool = False
) -> int | None:
    """The first step; None where cap and holdback leave none."""
    return next(iter(steps_bp(policy, holdback_bp, baseline, shadowed=shadowed)), None)


def next_bp(
    policy: Policy, scope_bp: int, holdback_bp: int, baseline: Baseline | None = None
) -> int | None:
    """The next step above a scope; None at the top."""
    steps = steps_bp(policy, holdback_bp, baseline)
    return next((one for one in steps if one > scope_bp), None)


def previous_bp(
    policy: Policy, scope_bp: int, holdback_bp: int, baseline: Baseline | None = None
) -> int | None:
    """The step below a scope; None at the first one."""
    lower = [one for one in steps_bp(policy, holdback_bp, baseline) if one < scope_bp]
    return lower[-1] if lower else None


def is_capped(policy: Policy, state: ControlState) -> bool:
    """Whether the policy lets it grow no further, though the holdback would: it never graduates."""
    top = next_bp(policy, state.scope_bp, state.holdback_bp) is None
    return top and not graduates(policy, state.scope_bp, state)


def graduates(policy: Policy, scope_bp: int, state: ControlState) -> bool:
    """Whether a trial whose last step is this one can graduate under the policy."""
    return (
        scope_bp >= state.last_step_bp
        and policy.scope_limit_bp(state.holdback_bp) >= state.scope_bp_max
    )


def growth(state: ControlState, to_bp: int) -> Event:
    """The event of the stage table that takes a scope to the next step."""
    return Event.DOUBLE if to_bp == state.doubled_bp else Event.SCOPE


def _unknown(name: str) -> None:
    """Nobody has counted its jobs yet."""


class FirstSteps:
    """`control.change.FirstStep` by the policies in force.

    Args:
        policies: Reads them; called when the first trial is started.
        baseline: What legacy has shown of a sub-pipeline; None while nobody knows.
    """

    def __init__(
        self,
        policies: Callable[[], Policies],
        baseline: Callable[[str], Baseline | None] = _unknown,
    ) -> None:
        self._policies = policies
        self._baseline = baseline

    def first_bp(self, name: str, holdback_bp: int) -> int | None:
        """The first step of a sub-pipeline; raises WrongPolicy."""
        return first_bp(self._policies().of(name), holdback_bp, self._baseline(name))
