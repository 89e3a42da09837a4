"""The proofs that an advance needs, from the totals of the step and its drills.

What is proven is a budget: at the next scope the concurrent path adds at most so many failed, late
and slow jobs a week (`evidence/harm_budget.py`). `PROOFS` is the one list of them; `judge`,
`outlook` and the tests ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollout.evidence.budget_proof import Event, Stake, pairs_finding, step_finding
from rollout.evidence.harm_budget import SCORE_LIMIT, HarmBudget
from rollout.evidence.verdict import Finding
from rollout.pilot.situation import Situation
from rollout.policy import ladder
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline

RECOVERY = "recovery"

DRILLED_BP = 2500
"""A scope above this is reached only by a build whose drills have proved how it heals."""

LAST_LIMIT = 0.0
"""Nothing grows after the last step: it is enough that nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step is asked to show.

    Attributes:
        baseline: Jobs a week, and legacy's failure rate before the trial.
        budget: Extra events a week.
        next_bp: Scope whose harm is at stake.
        limit: Score that passes.
        recovery: Whether drills have to have proved how it heals.
        whose: Whose jobs these are, where several pipelines share the budget.
    """

    baseline: Baseline
    budget: HarmBudget
    next_bp: int
    limit: float
    recovery: bool
    whose: str = ""

    def stake(self, budget: float) -> Stake:
        """The same for one event."""
        share = self.next_bp / 10_000
        return Stake(budget, self.baseline.jobs_a_week, share, self.limit, self.whose)


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof.

    Attributes:
        metric: The word in findings, metrics and `why`.
        score: Gives the finding, from the situation and what is asked.
        needed: Whether a step is asked for it.
    """

    metric: str
    score: Callable[[Situation, Asked], Finding]
    needed: Callable[[Asked], bool] = lambda asked: True


def _failed(situation: Situation, asked: Asked) -> Finding:
    totals = situation.counted
    return step_finding(
        Event.FAILED, totals.failures, asked.stake(asked.budget.failed), totals.phi_failures
    )


def _slow(situation: Situation, asked: Asked) -> Finding:
    totals = situation.counted
    return step_finding(
        Event.SLOW, totals.median, asked.stake(asked.budget.slow), totals.phi_median
    )


def _late(situation: Situation, asked: Asked) -> Finding:
    totals = situation.counted
    return step_finding(Event.LATE, totals.tail, asked.stake(asked.budget.late), totals.phi_tail)


def _recovery(situation: Situation, asked: Asked) -> Finding:
    return pairs_finding(RECOVERY, situation.pairs)


PROOFS = (
    Proof(Event.FAILED.metric, _failed),
    Proof(Event.SLOW.metric, _slow),
    Proof(Event.LATE.metric, _late),
    Proof(RECOVERY, _recovery, lambda asked: asked.recovery),
)
"""The findings that an advance needs, in the order in which they are said."""


def asked_of(policy: Policy, situation: Situation) -> Asked | None:
    """What the step is asked to show; None while nobody knows how many jobs come."""
    baseline, state = situation.baseline, situation.state
    if baseline is None or baseline.jobs_a_week <= 0:
        return None
    next_bp = ladder.next_bp(policy, state.scope_bp, state.holdback_bp, baseline)
    together = situation.together
    shared = baseline if together is None else together.baseline
    return Asked(
        shared,
        ladder.budget_of(policy, shared),
        state.scope_bp_max if next_bp is None else next_bp,
        LAST_LIMIT if next_bp is None else SCORE_LIMIT,
        drilled(policy, situation),
        "" if together is None else together.words,
    )


def drilled(policy: Policy, situation: Situation) -> bool:
    """Whether drills have to have proved how the path heals before this step is left."""
    state = situation.state
    if policy.drills_min == 0:
        return False
    next_bp = ladder.next_bp(policy, state.scope_bp, state.holdback_bp, situation.baseline)
    return next_bp is None or next_bp > DRILLED_BP


def proofs(policy: Policy, situation: Situation) -> dict[str, Finding]:
    """The findings that an advance needs, by metric; empty while nobody knows what comes."""
    asked = asked_of(policy, situation)
    if asked is None:
        return {}
    return {one.metric: one.score(situation, asked) for one in PROOFS if one.needed(asked)}
