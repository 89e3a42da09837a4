"""How a trial begins, goes from step to step, counts a look and cools down after a revert."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rollout.evidence.looks import look_at, look_day
from rollout.evidence.thresholds import Thresholds
from rollout.pilot.step import StepEvidence, guard_of
from rollout.pilot.trial import ON_TRIAL, WINDOW_S, WINDOW_S_MIN, Identity, Trial
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState, Stage


def window_s(policy: Policy) -> float:
    """Length of a window of admission under a policy, in seconds."""
    return max(WINDOW_S_MIN, min(WINDOW_S, WINDOW_S * policy.day_s / 86_400.0))


def begin(
    state: ControlState,
    builds: tuple[str | None, str | None],
    policy: Policy,
    thresholds: Thresholds | None,
    now: datetime,
    baseline: Baseline | None = None,
) -> Trial:
    """Begin to watch a sub-pipeline."""
    return Trial(
        name=state.name,
        version=0,
        step=1,
        step_revision=state.revision,
        identity=identity_of(state, builds),
        began_at=now,
        scored_to=now,
        looks=0,
        look_at_day=policy.bake_days,
        window_s=window_s(policy),
        hour_s=policy.day_s / 24,
        fresh_at=now,
        evidence=StepEvidence.fresh(guard_of(policy)),
        thresholds=thresholds,
        baseline=baseline,
    )


def identity_of(state: ControlState, builds: tuple[str | None, str | None]) -> Identity:
    """What makes the step that a control state belongs to."""
    return Identity(state.stage, state.scope_bp, state.fence_revision, *builds)


def follow(
    trial: Trial,
    state: ControlState,
    builds: tuple[str | None, str | None],
    policy: Policy,
    thresholds: Thresholds | None,
    now: datetime,
    prior: float = 1.0,
    baseline: Baseline | None = None,
) -> Trial:
    """Begin a new step if anything changed that makes one, whoever changed it.

    A new build of either path, a kill, and a start after a time on legacy alone, forget what was
    learnt: it was learnt about something else, or a person has judged it and lifted the kill. So
    does a smaller scope after a test has reached its limit: it is the answer to that harm, which
    would else be held against each step below until legacy. What shadow pairs of the same builds
    showed is the prior of the first step (`paired_time.prior_factor`).
    """
    identity = identity_of(state, builds)
    if identity == trial.identity:
        return trial
    before = trial.identity
    fresh = (
        identity.builds != before.builds
        or identity.fence_revision != before.fence_revision
        or before.stage not in ON_TRIAL
        or (trial.evidence.latched and 0 < identity.scope_bp < before.scope_bp)
    )
    on_legacy = identity.stage is Stage.LEGACY
    if before.stage is not Stage.SHADOW or identity.builds != before.builds:
        prior = 1.0
    # What legacy was like is known best before any job has left it.
    known = None if before.stage is Stage.LEGACY else trial.baseline
    return replace(
        trial,
        step=trial.step + 1,
        step_revision=state.revision,
        identity=identity,
        began_at=now,
        scored_to=now,
        looks=0,
        look_at_day=policy.bake_days,
        window_s=window_s(policy),
        hour_s=policy.day_s / 24,
        fresh_at=now if fresh else trial.fresh_at,
        evidence=StepEvidence.fresh(guard_of(policy), prior)
        if fresh
        else trial.evidence.begin_step(),
        thresholds=thresholds or trial.thresholds,
        said="",
        taken_back=on_legacy and (trial.taken_back or before.stage is not Stage.LEGACY),
        baseline=known or baseline,
        early_to=None,
    )


def after_look(trial: Trial, policy: Policy, now: datetime) -> Trial:
    """Count a look that promoted nothing; the next comes at the next half of a bake time.

    However late the look was taken, the next one is due in the future: none follows at once, and
    what a calendar held is not made up for.
    """
    days = (now - trial.began_at).total_seconds() / policy.day_s
    bake_days = max(policy.bake_days, 1.0)
    # A look that came exactly when it was due may have come a rounding error early.
    passed = max(1, look_at(days + 1e-6 * bake_days, bake_days))
    return replace(trial, looks=trial.looks + 1, look_at_day=look_day(passed + 1, bake_days))


def cool_down(trial: Trial, policy: Policy, now: datetime) -> Trial:
    """Note a revert: confirmed later by observed routing, and no advance for a while."""
    until = now + timedelta(seconds=policy.cooldown_days * policy.day_s)
    return replace(trial, cooldown_until=until, reverted_at=now)
