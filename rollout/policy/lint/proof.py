"""Rules about what is asked of the evidence: drills, chances of error, cooldown, the way back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollout.evidence.fast_path import LIMIT as FAST_LIMIT
from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.policy.lint.finding import Level, PolicyFinding, Subject

PAIRS_PROVING_MIN = 5
"""Fewer pairs cannot prove how a path heals: even of ones that heal at once on it."""

FALSE_REVERT_MAX = 0.01
"""The promise: at most one healthy four-week pilot in 100 is reverted."""


def drills(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Recovery is judged, on drills that can pass and still count."""
    policy = subject.policy
    if policy.drills_min == 0:
        yield PolicyFinding(
            Level.WARNING,
            "no_drills",
            "RECOVERY IS NOT JUDGED: drills_min is 0, so a path that cannot heal is promoted all"
            " the same, and one of the three promises is off.",
            "use drills_min = 6, and drill once before the pilot leaves 25 %",
        )
    elif policy.drills_min < PAIRS_PROVING_MIN:
        yield PolicyFinding(
            Level.ADVICE,
            "few_drills",
            f"drills_min is {policy.drills_min}: so few pairs never prove how a path heals, so a"
            " pilot waits for more all the same.",
            f"use at least drills_min = {PAIRS_PROVING_MIN}",
        )
    if policy.drills_min and policy.drills_max_age_days < policy.bake_days:
        yield PolicyFinding(
            Level.WARNING,
            "drills_expire",
            f"A drill counts for {policy.drills_max_age_days:g} days and a step lasts"
            f" {policy.bake_days:g}: the drills of its first days no longer count at its end.",
            "let drills_max_age_days be at least bake_days",
        )


def chances(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """The promises that the alphas add up to."""
    policy = subject.policy
    reverts = policy.alpha_error + 1 / FAST_LIMIT + policy.alpha_cycle + policy.alpha_recovery
    if reverts > FALSE_REVERT_MAX + 1e-12:
        yield PolicyFinding(
            Level.WARNING,
            "false_reverts",
            f"Up to {reverts:.2%} of healthy four-week pilots are reverted, the promise is"
            f" {FALSE_REVERT_MAX:.0%}.",
            "lower alpha_error, alpha_cycle or alpha_recovery",
        )


def after_revert(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """A cooldown is there, and is not the longest wait."""
    policy = subject.policy
    if policy.revert_to == "previous_step" and policy.cooldown_days == 0:
        yield PolicyFinding(
            Level.WARNING,
            "no_cooldown",
            "A revert to the previous step without a cooldown may go up and down with one fault.",
            "use cooldown_days = 1 or more",
        )
    longest = look_day(LOOKS_MAX, max(policy.bake_days, 1.0))
    if policy.cooldown_days > longest:
        yield PolicyFinding(
            Level.WARNING,
            "long_cooldown",
            f"cooldown_days is {policy.cooldown_days:g}, and the last look at a step is after"
            f" {longest:g} days: the step waits for the cooldown, not for evidence.",
            f"use at most {longest:g}",
        )


def way_back(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Legacy can take everything back, and shadow is asked for only where it can run."""
    policy = subject.policy
    if policy.legacy_headroom_min < 1:
        yield PolicyFinding(
            Level.WARNING,
            "no_way_back",
            f"legacy_headroom_min is {policy.legacy_headroom_min:g}: an advance is allowed though"
            " legacy could not carry all jobs, so a revert would build up a backlog.",
            "use at least 1.0",
        )
    effects = subject.effects
    if policy.shadow_pairs_min and effects is not None and not effects.shadowable:
        yield PolicyFinding(
            Level.ERROR,
            "no_shadow",
            f"{policy.shadow_pairs_min} shadow pairs are asked for, and effects {str(effects)!r}"
            " allow no shadow.",
            "use shadow_pairs_min = 0, or move the effects into a commit hook",
        )
