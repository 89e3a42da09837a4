"""The rule that a policy is judged by: the harm budget, or the margins of the last release.

Decisions of the last release were made by fixed margins at four weekly looks. Nothing decides by
them any more, but what was decided can be made again (`rollout replay`), so their rule stays here
until no ledger holds such decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from pydantic import BaseModel, ConfigDict

from rollout.evidence import promotion, recovery
from rollout.evidence.betting import Margin
from rollout.evidence.budget_proof import SHADOW_FAILED, Event, between, shadow_finding
from rollout.evidence.counts import Counts
from rollout.evidence.harm_budget import SCORE_LIMIT
from rollout.evidence.looks import LOOKS_MAX
from rollout.evidence.promote import HARM_MAX, PLAIN, Words
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.drills_asked import drill_overdue
from rollout.pilot.proofs import Asked, asked_of, proofs
from rollout.pilot.situation import Situation
from rollout.policy import ladder
from rollout.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Rule:
    """What differs between the two.

    Attributes:
        looks_max: Looks at a step; then a person decides.
        gap_days: Days between two looks.
        proofs: What a step has to show, by metric.
        overdue: Which drills are missing; None when there are enough.
        shadow: What stage shadow has to show; None asks for nothing.
        shadow_acts: Whether stage shadow ends by itself.
        graduates: What is said at graduation.
        words: How a look that proves nothing is said.
    """

    looks_max: int
    gap_days: float
    proofs: Callable[[Policy, Situation], dict[str, Finding]]
    overdue: Callable[[Policy, Situation], str | None]
    shadow: Callable[[Policy, Situation], Finding | None]
    shadow_acts: bool = True
    graduates: Callable[[Policy, Situation], str] = lambda policy, seen: _PROVEN
    words: Words = PLAIN


def rule_of(policy: Policy) -> Rule:
    """The rule of a policy."""
    gap_days = max(policy.bake_days, 1.0)
    if isinstance(policy, MarginPolicy):
        return Rule(
            policy.looks_max,
            gap_days,
            _by_margins,
            _all_drills,
            _no_shadow,
            policy.shadow_pairs_min > 0,
            words=_WITH_STATISTICS,
        )
    return Rule(LOOKS_MAX, gap_days / 2, proofs, drill_overdue, _shadow, True, _graduates)


_PROVEN = "the last step is proven: graduate"


def _graduates(policy: Policy, situation: Situation) -> str:
    """Say what was shown, and what a person still has to live with."""
    asked, totals = asked_of(policy, situation), situation.counted
    if asked is None:
        return _PROVEN
    failed = between(
        Event.FAILED, totals.failures, asked.stake(asked.budget.failed), totals.phi_failures
    )
    late = between(Event.LATE, totals.tail, asked.stake(asked.budget.late), totals.phi_tail)
    whose = f" ({asked.whose})" if asked.whose else ""
    return f"{_PROVEN}; at {asked.next_bp / 100:g} % there are {failed}, and {late}{whose}"


def _shadow(policy: Policy, situation: Situation) -> Finding | None:
    """Shadow is step 0: its failures have to keep to the budget at the first scope."""
    first = ladder.first_bp(policy, situation.state.holdback_bp, situation.baseline, shadowed=True)
    if situation.baseline is None or first is None or situation.baseline.jobs_a_week <= 0:
        sentence = "Nobody has counted yet how many jobs come, so no budget is known."
        return Finding(SHADOW_FAILED, Verdict.INSUFFICIENT, None, SCORE_LIMIT, 0, 0, None, sentence)
    budget = ladder.budget_of(policy, situation.baseline)
    asked = Asked(situation.baseline, budget, first, SCORE_LIMIT, recovery=False)
    return shadow_finding(situation.shadowed.raised, asked.stake(budget.failed))


# The last release -----------------------------------------------------------------------------


class MarginRow(BaseModel):
    """What steps up to one scope could be worse by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope_bp_max: int
    error_ratio: float
    error_absolute: float
    median_shift: int
    tail_shift: int
    recovery_ratio: float


class MarginPolicy(Policy):
    """A policy as the last release stored it with its decisions."""

    looks_max: int
    alpha_promote: float
    margins: tuple[MarginRow, ...]

    def row(self, scope_bp: int) -> MarginRow:
        """The row of a step."""
        return next(one for one in self.margins if scope_bp <= one.scope_bp_max)


def stored_policy(payload: Mapping[str, Any]) -> Policy:
    """Read the policy of a decision; raises ValidationError."""
    kind = MarginPolicy if "margins" in payload else Policy
    return kind.model_validate(payload)


_WITH_STATISTICS = Words(
    lambda metric, finding: f"{metric} is {finding.verdict.value}: {finding.sentence}",
    lambda metric, stat: f"{metric} leans towards harm: {stat:.3g}, limit {HARM_MAX:g}.",
)
"""As the last release said it, so that its decisions come out the same to the last letter."""


def _by_margins(policy: Policy, situation: Situation) -> dict[str, Finding]:
    assert isinstance(policy, MarginPolicy)
    row, totals = policy.row(max(1, situation.state.scope_bp)), situation.totals
    limit = NormalDist().inv_cdf(policy.alpha_promote / policy.looks_max)
    error = Margin(row.error_ratio, row.error_absolute)
    scored: Sequence[tuple[str, Counts, Margin, float]] = (
        ("error_rate_step", totals.failures, error, totals.phi_failures),
        ("cycle_median", totals.median, Margin(), totals.phi_median),
        ("cycle_tail", totals.tail, Margin(), totals.phi_tail),
    )
    found = {
        metric: promotion.finding(metric, counts, margin, max(1.0, phi), limit)
        for metric, counts, margin, phi in scored
    }
    if policy.drills_min:
        found["recovery"] = recovery.finding(situation.pairs, row.recovery_ratio)
    return found


def _all_drills(policy: Policy, situation: Situation) -> str | None:
    comparable = sum(not pair.both_censored for pair in situation.pairs)
    if comparable < policy.drills_min:
        return f"{comparable} of {policy.drills_min} comparable drill pairs"
    if policy.drills_min and situation.step_pairs < policy.drills_step_min:
        pairs = f"{situation.step_pairs} of {policy.drills_step_min} comparable drill pairs"
        return f"{pairs} at this step"
    return None


def _no_shadow(policy: Policy, situation: Situation) -> Finding | None:
    return None
