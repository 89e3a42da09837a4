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


def days_in_step(policy: Policy, seen: Situation) -> float:
    """Policy days since the step began; a clock that went backwards gives 0."""
    return max(0.0, (seen.now - seen.began_at).total_seconds() / policy.day_s)


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that holds an advance and is known without looking at any outcome."""

    kind: HoldKind
    sentence: str


def not_yet(policy: Policy, seen: Situation, *, in_shadow: bool = False) -> tuple[Hold, ...]:
    """Say what holds an advance without looking at any outcome; it costs no look.

    Args:
        policy: The policy in force.
        seen: Totals are asked for their numbers of jobs only.
        in_shadow: Before the first step there are no concurrent jobs and no drills to ask for.
    """
    state, rule, holds = seen.state, rule_of(policy), []
    if state.frozen:
        said = f"Frozen by a person; `rollout unfreeze {state.name}` lifts it."
        holds.append(Hold(HoldKind.FROZEN, said))
    if seen.looks >= rule.looks_max:
        said = f"{seen.looks} looks at this step are used up; a person decides."
        holds.append(Hold(HoldKind.LOOKS, said))
    days, wanted = days_in_step(policy, seen), max(policy.bake_days, seen.look_at_day)
    if days < wanted:
        said = f"{round(days, 3):g} of {round(wanted, 3):g} days at this step."
        holds.append(Hold(HoldKind.BAKE, said))
    if (held := blocked_by(policy, seen.now)) is not None:
        holds.append(Hold(HoldKind.CALENDAR, f"The calendar holds it: {held}."))
    if seen.cooldown_until is not None and seen.now < seen.cooldown_until:
        until = f"{seen.cooldown_until:%Y-%m-%d %H:%M}"
        holds.append(Hold(HoldKind.COOLDOWN, f"Cooling down after a revert until {until} UTC."))
    if seen.held is not None:
        holds.append(Hold(HoldKind.FLEET, seen.held))
    jobs = seen.totals.failures.n_concurrent
    if not in_shadow and jobs < policy.jobs_min:
        said = f"{jobs} concurrent jobs at this step, the policy asks for {policy.jobs_min}."
        holds.append(Hold(HoldKind.JOBS_MIN, said))
    overdue = None if in_shadow else rule.overdue(policy, seen)
    if overdue is not None:
        said = f"Drill overdue: {overdue}; `rollout drill run` makes one."
        holds.append(Hold(HoldKind.DRILLS, said))
    holds += [
        Hold(HoldKind.WAY_BACK, said)
        for said in not_ready(seen.way_back, state, policy, seen.baseline)
    ]
    if not in_shadow:
        worse = [one for one in sampled_outputs(seen) if one.verdict is Verdict.REGRESS]
        holds += [Hold(HoldKind.OUTPUTS, one.sentence) for one in worse]
    return tuple(holds)


def sampled_outputs(seen: Situation) -> tuple[Finding, ...]:
    """What sampled shadows say of outputs; of times, the jobs of the step themselves say more."""
    if not seen.shadowed.pairs:
        return ()
    return tuple(one for one in seen.shadowed.findings if one.metric == SHADOW_OUTPUT)
