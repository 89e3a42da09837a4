"""What the traffic of a sub-pipeline could prove: whether a healthy path gets through its plan.

The plan sizes all three events, failed, late and slow ones, as the judgement
does (`policy/plan.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import exp, log

from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.policy import ladder
from rollout.policy.lint.finding import Level, PolicyFinding, Subject, percent
from rollout.policy.way import Baseline
from rollout.routing.stages import BP_ALL

CHANCE_WANTED = 0.8
"""A step that a healthy path passes less often than this is too small for its traffic."""

CHANCE_HOPELESS = 0.05
"""Under this a step is never proved; a path on the margin would pass as often."""

PILOTS = 300
"""Drawn for each step: enough to tell one path in five from one in ten."""

NEAR = 0.02
"""Traffic is sized in steps of this share: half of one moves a chance by less than drawing errs."""


def traffic(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Steps that the traffic cannot prove."""
    if subject.traffic is None or not subject.steps_bp:
        return
    if subject.baseline is None:
        yield PolicyFinding(
            Level.ERROR,
            "nothing_proved",
            "No job comes: nothing can be proved.",
            "pool similar sub-pipelines into one, or let a person decide: automatic = false",
        )
        return
    yield from _sized(subject)


def _sized(subject: Subject) -> Iterator[PolicyFinding]:
    from rollout.policy.plan import proofs_of

    policy, baseline, way = subject.policy, subject.baseline, subject.steps_bp
    assert baseline is not None, "asked for with a baseline only"
    proven = proofs_of(policy, near(baseline), way, subject.holdback_bp, PILOTS)
    harm = ladder.budget_of(policy, baseline)
    budget = f"{harm.failed:,.0f} extra failed and {harm.late:,.0f} extra late jobs a week"
    jobs_a_week = {step_bp: baseline.jobs_a_week * step_bp / BP_ALL for step_bp in way}
    hardly = [(step, one) for step, one in zip(way, proven, strict=True) if one < CHANCE_WANTED]
    if hardly and all(one < CHANCE_HOPELESS for one in proven[:-1] or proven):
        yield PolicyFinding(
            Level.ERROR,
            "nothing_proved",
            f"{baseline.jobs_a_week:,.0f} jobs a week prove no step at all for a budget of"
            f" {budget}.",
            "state a larger budget_failed or budget_late, pool similar sub-pipelines into one, or"
            " let a person decide: automatic = false",
        )
        hardly = []
    for step_bp, chance in hardly:
        hopeless = chance < CHANCE_HOPELESS
        yield PolicyFinding(
            Level.ERROR if hopeless else Level.WARNING,
            "never_proved" if hopeless else "hardly_proved",
            f"Step {percent(step_bp)}: {jobs_a_week[step_bp]:,.0f} concurrent jobs a week show in"
            f" {chance:.0%} of healthy pilots that the budget of {budget} is kept; the others"
            " need a person.",
            "state a larger budget_failed or budget_late; `rollout plan` shows what it changes",
        )
    days = look_day(LOOKS_MAX, max(policy.bake_days, 1.0))
    for step_bp in way:
        jobs = jobs_a_week[step_bp] * days / 7
        if jobs < policy.jobs_min:
            yield PolicyFinding(
                Level.ERROR,
                "jobs_min_unreachable",
                f"Step {percent(step_bp)} sees {jobs:,.0f} concurrent jobs in"
                f" {LOOKS_MAX} looks, jobs_min asks for {policy.jobs_min:,}.",
                "lower jobs_min, or begin with a larger step",
            )


def near(baseline: Baseline) -> Baseline:
    """The traffic to the nearest step of `NEAR`, so that a week's that is much alike is one."""
    return Baseline(_near(baseline.jobs_a_week), min(1.0, _near(baseline.rate_failed)))


def _near(value: float) -> float:
    return exp(round(log(value) / NEAR) * NEAR) if value > 0 else 0.0
