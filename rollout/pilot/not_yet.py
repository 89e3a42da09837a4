"""What holds an advance and is known without looking at any outcome of a step's jobs."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.evidence.outputs import SHADOW_OUTPUT
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import HoldKind
from rollout.pilot.readiness import not_ready
from rollout.pilot.rule import rule_of
from rollout.pilot.situation import Situation
from rollout.policy.policy import Policy, blocked_by


def days_in_step(policy: Policy, situation: Situation) -> float:
    """Policy days since the step began; a clock that went backwards gives 0."""
    return max(0.0, (situation.now - situation.began_at).total_seconds() / policy.day_s)


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that holds an advance and is known without looking at any outcome."""

    kind: HoldKind
    sentence: str


def not_yet(policy: Policy, situation: Situation, *, in_shadow: bool = False) -> tuple[Hold, ...]:
    """Say what holds an advance without looking at any outcome; it costs no look.

    Args:
        policy: The policy in force.
        situation: Totals are asked for their numbers of jobs only.
        in_shadow: Before the first step there are no concurrent jobs and no drills to ask for.
    """
    state, rule, holds = situation.state, rule_of(policy), []
    if state.frozen:
        sentence = f"Frozen by a person; `rollout unfreeze {state.name}` lifts it."
        holds.append(Hold(HoldKind.FROZEN, sentence))
    if situation.looks >= rule.looks_max:
        sentence = f"{situation.looks} looks at this step are used up; a person decides."
        holds.append(Hold(HoldKind.LOOKS, sentence))
    days, wanted = days_in_step(policy, situation), max(policy.bake_days, situation.look_at_day)
    if days < wanted:
        sentence = f"{round(days, 3):g} of {round(wanted, 3):g} days at this step."
        holds.append(Hold(HoldKind.BAKE, sentence))
    if (held := blocked_by(policy, situation.now)) is not None:
        holds.append(Hold(HoldKind.CALENDAR, f"The calendar holds it: {held}."))
    if situation.cooldown_until is not None and situation.now < situation.cooldown_until:
        until = f"{situation.cooldown_until:%Y-%m-%d %H:%M}"
        holds.append(Hold(HoldKind.COOLDOWN, f"Cooling down after a revert until {until} UTC."))
    if situation.held is not None:
        holds.append(Hold(HoldKind.FLEET, situation.held))
    jobs = situation.totals.failures.n_concurrent
    if not in_shadow and jobs < policy.jobs_min:
        sentence = f"{jobs} concurrent jobs at this step, the policy asks for {policy.jobs_min}."
        holds.append(Hold(HoldKind.JOBS_MIN, sentence))
    overdue = None if in_shadow else rule.overdue(policy, situation)
    if overdue is not None:
        sentence = f"Drill overdue: {overdue}; `rollout drill run` makes one."
        holds.append(Hold(HoldKind.DRILLS, sentence))
    holds += [
        Hold(HoldKind.WAY_BACK, sentence)
        for sentence in not_ready(situation.way_back, state, policy, situation.baseline)
    ]
    if not in_shadow:
        worse = [one for one in sampled_outputs(situation) if one.verdict is Verdict.REGRESS]
        holds += [Hold(HoldKind.OUTPUTS, one.sentence) for one in worse]
    return tuple(holds)


def sampled_outputs(situation: Situation) -> tuple[Finding, ...]:
    """What sampled shadows say of outputs; of times, the jobs of the step themselves say more."""
    if not situation.shadowed.pairs:
        return ()
    return tuple(one for one in situation.shadowed.findings if one.metric == SHADOW_OUTPUT)
