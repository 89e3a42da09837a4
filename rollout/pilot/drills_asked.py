"""Which drills a step still needs before it may be left."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.pair_wealth import PROVEN_AT, peak
from rollout.pilot.proofs import DRILLED_BP, drilled
from rollout.pilot.situation import Situation
from rollout.policy.policy import Policy


def drill_overdue(policy: Policy, situation: Situation) -> str | None:
    """Say which drill pairs are missing; None when there are enough, or none are asked for yet.

    A build proves once, before it leaves 25 %, how it heals; each step after that makes a pair of
    its own, which the recovery watch holds against legacy.
    """
    if not drilled(policy, situation):
        return None
    return _missing(policy, situation.pairs, situation.step_pairs, situation.state.scope_bp)


def drill_wanted(
    policy: Policy, pairs: Sequence[DrillPair], step_pairs: int, scope_bp: int
) -> str | None:
    """Say why the schedule should drill now: before it is asked for, so that nothing waits.

    Args:
        policy: Asks for so many.
        pairs: Young enough to count, of this build.
        step_pairs: How many comparable ones of them were made at this step.
        scope_bp: Scope of the step.
    """
    if policy.drills_min == 0:
        return None
    missing = _missing(policy, pairs, step_pairs, scope_bp)
    if missing is not None:
        return missing
    used = [one for one in pairs if not one.both_censored]
    if peak([one.concurrent_s / one.legacy_s for one in used]) < PROVEN_AT:
        return f"{len(used)} comparable drill pairs, which do not prove yet how it heals"
    return None


def _missing(
    policy: Policy, pairs: Sequence[DrillPair], step_pairs: int, scope_bp: int
) -> str | None:
    comparable = sum(not pair.both_censored for pair in pairs)
    if comparable < policy.drills_min:
        return f"{comparable} of {policy.drills_min} comparable drill pairs"
    if scope_bp > DRILLED_BP and step_pairs < policy.drills_step_min:
        return f"{step_pairs} of {policy.drills_step_min} comparable drill pairs at this step"
    return None
