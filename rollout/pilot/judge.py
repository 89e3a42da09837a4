"""What follows from a situation: hold, advance, graduate or revert.

Precedence: kill > revert > hold > advance. What can be known without looking at outcomes (time,
calendar, drills there at all, readiness, a freeze) is asked first and costs no look; only when
all of it holds and a look is due are the proofs looked at, at most 15 times a step.

Source: evidence method, sections 2 to 4; small-pilots method; decisions 0012 and 0023.
"""

from __future__ import annotations

from datetime import timedelta

from rollout.evidence import sample_ratio
from rollout.evidence.paired_time import SHADOW_TIME
from rollout.evidence.promote import decide
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import NEED_A_PERSON, HoldKind
from rollout.pilot.judgement import Action, Judgement, still
from rollout.pilot.not_yet import Hold, days_in_step, not_yet, sampled_outputs
from rollout.pilot.rule import rule_of
from rollout.pilot.situation import Situation
from rollout.pilot.step import StepEvidence
from rollout.policy import ladder
from rollout.policy.policy import Policy, next_free
from rollout.routing.stages import Event, Stage


def judge(policy: Policy, situation: Situation) -> Judgement:
    """Say what follows from a situation.

    Pure: the same policy and situation give the same answer.

    Args:
        policy: The policy in force.
        situation: Everything known at one moment.

    Returns:
        The action with all verdicts; a missing or broken measurement holds.
    """
    state = situation.state
    if state.stage is Stage.LEGACY:
        return still(situation, Action.NONE, "every job runs on legacy", (), ())
    if state.killed:
        sentence = f"killed: nothing runs on the concurrent path until `rollout rearm {state.name}`"
        return still(situation, Action.HOLD, sentence, (), ())
    if state.stage is Stage.SHADOW:
        return _after_shadow(policy, situation)
    guards = situation.evidence.findings(situation.rate_legacy)
    worse = tuple(one for one in guards if one.verdict is Verdict.REGRESS)
    split = split_finding(state.scope_bp, situation.evidence, situation.design_effect)
    if worse:
        return _revert(policy, situation, (*guards, split), tuple(one.sentence for one in worse))
    if state.stage is Stage.GRADUATED:
        sentence = "graduated: watched, and reverted if it gets worse"
        return still(situation, Action.HOLD, sentence, (*guards, split), ())
    return _climb(policy, situation, guards, split)


def _climb(
    policy: Policy, situation: Situation, guards: tuple[Finding, ...], split: Finding
) -> Judgement:
    """Hold or advance in stage split."""
    state = situation.state
    rule = rule_of(policy)
    proven = rule.proofs(policy, situation)
    findings = (*guards, split, *proven.values(), *sampled_outputs(situation))
    next_bp = ladder.next_bp(policy, state.scope_bp, state.holdback_bp, situation.baseline)
    if ladder.is_capped(policy, state):
        sentence = f"at its cap of {state.scope_bp} bp; the policy lets it grow no further"
        return still(situation, Action.HOLD, sentence, findings, ())
    holds = not_yet(policy, situation)
    waiting = tuple(one.sentence for one in holds)
    due_at = situation.began_at + timedelta(seconds=policy.day_s * situation.look_at_day)
    if holds:
        free_at = next_free(policy, max(due_at, situation.now))
        return still(
            situation,
            Action.HOLD,
            waiting[0],
            findings,
            waiting,
            next_bp,
            free_at,
            person=any(one.kind in NEED_A_PERSON for one in holds),
            kinds=tuple(one.kind for one in holds),
        )
    answer = decide(
        int(days_in_step(policy, situation)),
        situation.looks + 1,
        proven,
        situation.evidence.harm,
        split,
        days_min=int(policy.bake_days),
        looks_max=rule.looks_max,
        needed=tuple(proven),
        words=rule.words,
    )
    window = f"{situation.step}/look/{situation.looks + 1}"
    if not answer.promote:
        return _not_proven(policy, situation, findings, answer.reasons, next_bp)
    return _grow(policy, situation, window, findings, next_bp)


def _not_proven(
    policy: Policy,
    situation: Situation,
    findings: tuple[Finding, ...],
    reasons: tuple[str, ...],
    next_bp: int | None,
) -> Judgement:
    """A look that promotes nothing."""
    rule, look = rule_of(policy), situation.looks + 1
    return Judgement(
        Action.HOLD,
        None,
        None,
        True,
        look >= rule.looks_max,
        f"{situation.step}/look/{look}",
        findings,
        reasons,
        f"not proven at look {look} of {rule.looks_max}: {reasons[0]}",
        next_bp,
        next_free(policy, situation.now + timedelta(seconds=policy.day_s * rule.gap_days)),
    )


def _grow(
    policy: Policy,
    situation: Situation,
    window: str,
    findings: tuple[Finding, ...],
    next_bp: int | None,
) -> Judgement:
    if next_bp is None:
        action, event = Action.GRADUATE, Event.GRADUATE
        sentence = rule_of(policy).graduates(policy, situation)
    else:
        action, event = Action.ADVANCE, ladder.growth(situation.state, next_bp)
        sentence = f"every proof passed: from {situation.state.scope_bp} to {next_bp} bp"
    if not policy.automatic:
        sentence = f"{sentence}; the policy is not automatic, so a person acts"
        kinds = (HoldKind.PROVEN,)
        return still(
            situation,
            Action.HOLD,
            sentence,
            findings,
            (sentence,),
            next_bp,
            person=True,
            kinds=kinds,
        )
    return Judgement(
        action, event, next_bp, True, False, window, findings, (), sentence, next_bp, None
    )


def _revert(
    policy: Policy, situation: Situation, findings: tuple[Finding, ...], reasons: tuple[str, ...]
) -> Judgement:
    state, window = situation.state, f"{situation.step}/revert"
    below = ladder.previous_bp(policy, state.scope_bp, state.holdback_bp, situation.baseline)
    if not policy.automatic:
        sentence = f"it should be reverted, and the policy is not automatic: {reasons[0]}"
        kinds = (HoldKind.WORSE,)
        return still(situation, Action.HOLD, sentence, findings, reasons, person=True, kinds=kinds)
    if policy.revert_to == "previous_step" and below is not None:
        return Judgement(
            Action.REVERT,
            Event.SCOPE,
            below,
            False,
            False,
            window,
            findings,
            reasons,
            f"back to {below} bp: {reasons[0]}",
            None,
            None,
        )
    return Judgement(
        Action.REVERT,
        Event.REVERT,
        0,
        False,
        False,
        window,
        findings,
        reasons,
        f"back to legacy: {reasons[0]}",
        None,
        None,
    )


def _after_shadow(policy: Policy, situation: Situation) -> Judgement:
    """Hold in shadow until its failures keep to the budget and none of its findings is worse."""
    shadowed, rule = situation.shadowed, rule_of(policy)
    first = ladder.first_bp(policy, situation.state.holdback_bp, situation.baseline, shadowed=True)
    if not rule.shadow_acts or first is None:
        sentence = f"in shadow; `rollout start {situation.state.name}` begins the first step"
        return still(situation, Action.HOLD, sentence, shadowed.findings, ())
    proof = rule.shadow(policy, situation)
    findings = shadowed.findings if proof is None else (*shadowed.findings, proof)
    reasons = [one.sentence for one in shadowed.findings if _holds_in_shadow(one)]
    if shadowed.pairs < policy.shadow_pairs_min:
        reasons.append(f"{shadowed.pairs} of {policy.shadow_pairs_min} shadow pairs were compared.")
    holds = not_yet(policy, situation, in_shadow=True)
    reasons += [one.sentence for one in holds]
    if not reasons and proof is not None and proof.verdict is not Verdict.PASS:
        return _not_proven(policy, situation, findings, (proof.sentence,), first)
    if reasons or not policy.automatic:
        sentence = reasons[0] if reasons else "shadow is proven; the policy is not automatic"
        person = not reasons
        return still(
            situation,
            Action.HOLD,
            sentence,
            findings,
            tuple(reasons),
            first,
            person=person,
            kinds=_shadow_kinds(reasons, holds),
        )
    sentence = f"{shadowed.pairs} shadow pairs show no harm: the first step, {first} bp"
    window = f"{situation.step}/start"
    return Judgement(
        Action.ADVANCE,
        Event.START,
        first,
        False,
        False,
        window,
        findings,
        (),
        sentence,
        first,
        None,
    )


def _holds_in_shadow(finding: Finding) -> bool:
    """Whether a finding of the shadow keeps the first step from beginning.

    Times that cannot be compared (the shadow's worker runs on a slower machine, say) prove nothing
    and hold nothing: the first step measures its own. Outputs that cannot be compared hold.
    """
    unclear = finding.verdict is Verdict.ERROR and finding.metric != SHADOW_TIME
    return finding.verdict is Verdict.REGRESS or unclear


def _shadow_kinds(reasons: list[str], holds: tuple[Hold, ...]) -> tuple[HoldKind, ...]:
    if not reasons:
        return (HoldKind.PROVEN,)
    kinds = tuple(one.kind for one in holds)
    return kinds if len(kinds) == len(reasons) else (HoldKind.SHADOW, *kinds)


def split_finding(scope_bp: int, evidence: StepEvidence, design_effect: float) -> Finding:
    """Check the split; jobs that share a routing key count for as few as they are worth."""
    share = scope_bp / 10_000
    effect = max(1.0, design_effect)
    n_concurrent = round(evidence.admitted_concurrent / effect)
    n_legacy = round(evidence.admitted_legacy / effect)
    if not 0.0 < share < 1.0:
        sentence = "One path has every job, so there is no split to check."
        limit = sample_ratio.LIMIT
        return Finding(
            "sample_ratio",
            Verdict.INSUFFICIENT,
            None,
            limit,
            n_concurrent,
            n_legacy,
            None,
            sentence,
        )
    return sample_ratio.finding(n_concurrent, n_legacy, share)
