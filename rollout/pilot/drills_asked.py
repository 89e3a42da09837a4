"""Which drills a step still needs before it may be left."""

from __future__ import annotations

from rollout.pilot.proofs import DRILLED_BP, drilled
from rollout.pilot.situation import Situation
from rollout.policy.policy import Policy


def drill_overdue(policy: Policy, seen: Situation) -> str | None:
    """Say which drill pairs are missing; None when there are enough, or none are asked for yet.

    A build proves once, before it leaves 25 %, how it heals; each step after that makes a pair of
    its own, which the recovery watch holds against legacy.
    """
    if not drilled(policy, seen):
        return None
    comparable = sum(not pair.both_censored for pair in seen.pairs)
    if comparable < policy.drills_min:
        return f"{comparable} of {policy.drills_min} comparable drill pairs"
    if seen.state.scope_bp > DRILLED_BP and seen.step_pairs < policy.drills_step_min:
        return f"{seen.step_pairs} of {policy.drills_step_min} comparable drill pairs at this step"
    return None
