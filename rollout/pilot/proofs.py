"""The proofs that an advance needs, from the totals of the step and its drills.

`PROOFS` is the one list of them; `judge`, `outlook` and the tests ask it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from rollout.evidence import promotion, recovery
from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.verdict import Finding
from rollout.pilot.situation import Situation
from rollout.policy.policy import Policy, StepMargins

RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof.

    Attributes:
        metric: The word in findings, metrics and `why`.
        score: Gives the finding, from the situation, the margins of the step and the z at or under
            which a score passes.
        asked: Whether a policy asks for it.
    """

    metric: str
    score: Callable[[Situation, StepMargins, float], Finding]
    asked: Callable[[Policy], bool] = lambda policy: True


def _errors(seen: Situation, margins: StepMargins, limit: float) -> Finding:
    counts, phi = seen.totals.failures, seen.totals.phi_failures
    return _scored("error_rate_step", counts, margins.margin.error, phi, limit)


def _median(seen: Situation, margins: StepMargins, limit: float) -> Finding:
    return _scored("cycle_median", seen.totals.median, Margin(), seen.totals.phi_median, limit)


def _tail(seen: Situation, margins: StepMargins, limit: float) -> Finding:
    return _scored("cycle_tail", seen.totals.tail, Margin(), seen.totals.phi_tail, limit)


def _recovery(seen: Situation, margins: StepMargins, limit: float) -> Finding:
    return recovery.finding(seen.pairs, margins.recovery_ratio)


def _scored(metric: str, counts: Counts, margin: Margin, phi: float, limit: float) -> Finding:
    return promotion.finding(metric, counts, margin, max(1.0, phi), limit)


PROOFS = (
    Proof("error_rate_step", _errors),
    Proof("cycle_median", _median),
    Proof("cycle_tail", _tail),
    Proof(RECOVERY, _recovery, lambda policy: policy.drills_min > 0),
)
"""The findings that an advance needs, in the order in which they are said."""


def proofs(policy: Policy, seen: Situation) -> dict[str, Finding]:
    """The findings that an advance needs, by metric: as many as the policy asks for."""
    margins = policy.margins_at(max(1, seen.state.scope_bp))
    limit = NormalDist().inv_cdf(policy.alpha_promote / policy.looks_max)
    return {one.metric: one.score(seen, margins, limit) for one in PROOFS if one.asked(policy)}
