"""Lint of one policy: contradictions, steps that are never taken, promises that are given up.

Pure. Each rule is a function in `rollout/policy/lint/` that yields what it finds; `RULES` is the
list of them. Limits over several sub-pipelines are in `rollout/policy/lint/fleet.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from rollout.policy.lint import proof, steps, times, traffic
from rollout.policy.lint.finding import Level, PolicyFinding, Subject

Rule = Callable[[Subject, datetime], Iterator[PolicyFinding]]

RULES: tuple[Rule, ...] = (
    steps.ladder,
    steps.holdback,
    steps.bake,
    times.calendar,
    proof.drills,
    proof.chances,
    proof.after_revert,
    proof.way_back,
    traffic.traffic,
)
"""Every rule, in the order of the report."""


def lint(subject: Subject, now: datetime) -> tuple[PolicyFinding, ...]:
    """Say everything that is wrong with a policy, the worst first.

    Args:
        subject: The policy and what it is for.
        now: An aware time, for calendars.

    Returns:
        Findings by level, then in the order of the rules; empty when there is nothing to say.

    Raises:
        NaiveTime: `now` has no zone.
    """
    found = [
        replace(finding, subject=subject.name) for rule in RULES for finding in rule(subject, now)
    ]
    return worst_first(found)


def worst_first(findings: list[PolicyFinding]) -> tuple[PolicyFinding, ...]:
    """Findings by level; those of one level keep their order."""
    order = list(Level)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))
