"""What the traffic of a sub-pipeline could prove: whether a healthy path gets through its plan.

The plan sizes all three events, failed, late and slow ones, as the judgement
does (`policy/plan.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.policy.lint.finding import Level, PolicyFinding, Subject, percent

CHANCE_WANTED = 0.8
"""A step that a healthy path passes less often than this is too small for its traffic."""

CHANCE_HOPELESS = 0.05
"""Under this a step is never proved; a path on the margin would pass as often."""

PILOTS = 300
"""Drawn for each step: enough to tell one path in five from one in ten."""


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
    from rollout.policy.plan import plan_for

    policy, baseline = subject.policy, subject.baseline
    assert baseline is not None, "asked for with a baseline only"
    plan = plan_for(policy, baseline, subject.holdback_bp, None, PILOTS)
    budget = (
        f"{plan.length.failed:,.0f} extra failed and {plan.length.late:,.0f} extra late jobs a week"
    )
    hardly = [one for one in plan.steps if one.proven < CHANCE_WANTED]
    if hardly and all(one.proven < CHANCE_HOPELESS for one in plan.steps[:-1] or hardly):
        yield PolicyFinding(
            Level.ERROR,
            "nothing_proved",
            f"{baseline.jobs_a_week:,.0f} jobs a week prove no step at all for a budget of"
            f" {budget}.",
            "state a larger budget_failed or budget_late, pool similar sub-pipelines into one, or"
            " let a person decide: automatic = false",
        )
        hardly = []
    for step in hardly:
        hopeless = step.proven < CHANCE_HOPELESS
        yield PolicyFinding(
            Level.ERROR if hopeless else Level.WARNING,
            "never_proved" if hopeless else "hardly_proved",
            f"Step {percent(step.scope_bp)}: {step.jobs_a_week:,.0f} concurrent jobs a week show in"
            f" {step.proven:.0%} of healthy pilots that the budget of {budget} is kept; the others"
            " need a person.",
            "state a larger budget_failed or budget_late; `rollout plan` shows what it changes",
        )
    days = look_day(LOOKS_MAX, max(policy.bake_days, 1.0))
    for step in plan.steps:
        jobs = step.jobs_a_week * days / 7
        if jobs < policy.jobs_min:
            yield PolicyFinding(
                Level.ERROR,
                "jobs_min_unreachable",
                f"Step {percent(step.scope_bp)} sees {jobs:,.0f} concurrent jobs in"
                f" {LOOKS_MAX} looks, jobs_min asks for {policy.jobs_min:,}.",
                "lower jobs_min, or begin with a larger step",
            )
