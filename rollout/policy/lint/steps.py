"""Rules about the steps: ladder, holdback, bake time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from rollout.policy.lint.finding import Level, PolicyFinding, Subject, percent
from rollout.routing.stages import BP_ALL

DAY_S = 86_400.0
WEEK_DAYS = 7
GROWTH_MAX = 4.0
"""A step that multiplies the scope by more than this skips one that would have shown the harm."""


def ladder(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Steps above what the holdback or the cap allow are taken there, or never."""
    policy, steps = subject.policy, subject.steps_bp
    if not steps:
        yield PolicyFinding(
            Level.ERROR,
            "no_step",
            f"No step can be taken: scope_bp_max is {policy.scope_bp_max} and the holdback keeps"
            f" {subject.kept_bp} of {BP_ALL}.",
            "raise scope_bp_max or lower holdback_bp",
        )
        return
    for rule, limit, what, todo in (
        ("above_holdback", BP_ALL - subject.kept_bp, "the holdback leaves", "or lower holdback_bp"),
        ("above_cap", policy.scope_bp_max, "scope_bp_max allows", "or raise scope_bp_max"),
    ):
        above = [step for step in policy.ladder_bp or () if step > limit]
        if above:
            yield PolicyFinding(
                Level.WARNING,
                rule,
                f"The ladder asks for {', '.join(map(percent, above))}, {what} {percent(limit)}:"
                f" the steps really taken are {', '.join(map(percent, steps))}.",
                f"end ladder_bp at {limit}, {todo}",
            )
    for lower, higher in pairwise(steps):
        if higher > GROWTH_MAX * lower:
            yield PolicyFinding(
                Level.WARNING,
                "jump",
                f"From {percent(lower)} to {percent(higher)} the scope grows"
                f" {higher / lower:.3g}-fold at once: harm that a doubling would have shown"
                " meets that many more jobs.",
                "put steps between them in ladder_bp",
            )
    if not subject.graduates:
        yield PolicyFinding(
            Level.ADVICE,
            "never_graduates",
            f"The last step is {percent(steps[-1])}; only at {percent(BP_ALL - subject.kept_bp)}"
            " can a sub-pipeline graduate.",
            "leave it so for a pilot that is meant to stop there, or add the last step",
        )


def holdback(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Without a holdback nothing is left to compare with."""
    if subject.kept_bp == 0 and subject.steps_bp and subject.steps_bp[-1] == BP_ALL:
        yield PolicyFinding(
            Level.WARNING,
            "no_holdback",
            "At 100 % no job runs on legacy: nothing is left to compare with, so a regression"
            " is not reverted, and legacy is not exercised.",
            "keep a holdback_bp, 500 is usual",
        )


def bake(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """A step must last, and a person must know when nothing happens by itself."""
    policy = subject.policy
    if policy.bake_days == 0:
        yield PolicyFinding(
            Level.ERROR,
            "no_bake",
            "bake_days is 0: a step may end before its first job has.",
            "use at least 1, and 7 outside of rehearsals",
        )
    elif policy.bake_days < WEEK_DAYS:
        yield PolicyFinding(
            Level.WARNING,
            "short_bake",
            f"A step of {policy.bake_days:g} days does not see every weekday.",
            "use bake_days = 7",
        )
    if policy.day_s < DAY_S:
        quiet = " and so are the quiet times, which stay on the real clock" if policy.quiet else ""
        yield PolicyFinding(
            Level.ADVICE,
            "rehearsal",
            f"A policy day lasts {policy.day_s:g} s: this is a rehearsal{quiet}.",
            "remove day_s for real pilots" + (", set quiet = [] for this one" if quiet else ""),
        )
    if not policy.automatic:
        yield PolicyFinding(
            Level.ADVICE,
            "by_hand",
            "automatic is false: nothing advances and nothing reverts unless a person does it.",
            "leave it so while you get to know the verdicts",
        )
