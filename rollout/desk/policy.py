"""The policy in force, where each value comes from, and what the values come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout.desk.in_force import InForce
from rollout.desk.plain import Json, plain_json
from rollout.desk.text import at_text, percent
from rollout.policy.check import Declarations, Known, names_of, read_known, require_name
from rollout.policy.ladder import steps_bp
from rollout.policy.policy import Cohort, Policies, Policy, blocked_by, next_free
from rollout.policy.tables import source_of


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """The policy in force of one sub-pipeline, or (name None) of all without one of their own.

    Attributes:
        name: The sub-pipeline.
        at: When the calendars were asked.
        policies: Everything that was said.
        known: What the ledger knows of declarations.
        difference: Where the controller that leads judges by another policy; None where it does
            not, or nobody can tell.
    """

    name: str | None
    at: datetime
    policies: Policies
    known: Known
    difference: str | None = None

    @property
    def policy(self) -> Policy:
        """The values in force."""
        return self.policies.default if self.name is None else self.policies.of(self.name)

    @property
    def sources(self) -> Mapping[str, str]:
        """Where the value of each field comes from."""
        return {field: source_of(self.policies, self.name, field) for field in Policy.model_fields}

    def value_of(self, field: str) -> str:
        """One value in force as people read it."""
        return value_text(self.policy, field)

    @property
    def steps_bp(self) -> tuple[int, ...]:
        """Scope of each step, in basis points."""
        return steps_bp(self.policy, self.known.holdback_bp(self.name))

    @property
    def holdback_bp(self) -> int:
        """Share that stays on legacy, in basis points: the policy's own, else as declared."""
        own = self.policy.holdback_bp
        return self.known.holdback_bp(self.name) if own is None else own

    @property
    def cohort(self) -> Cohort | None:
        """The cohort it belongs to."""
        return None if self.name is None else self.policies.cohort_of(self.name)

    @property
    def held(self) -> str | None:
        """Why the calendars let nothing advance now."""
        return blocked_by(self.policy, self.at)

    @property
    def free_at(self) -> datetime | None:
        """When they let it again; None when not in 400 days."""
        return next_free(self.policy, self.at)

    @property
    def meaning(self) -> list[tuple[str, str]]:
        """What the values come to: a word and a sentence each."""
        kept = percent(self.holdback_bp)
        if self.policy.holdback_bp is None:
            declared = self.name is not None and self.name in (self.known.states or ())
            kept += ", as declared" if declared else ", unless the code declares another"
        holds = self.held
        rows = [
            ("steps", ", ".join(percent(step) for step in self.steps_bp) or "none"),
            ("holdback", kept),
            ("calendar", "free now" if holds is None else holds),
        ]
        if holds is not None:
            free = self.free_at
            rows.append(("next free", "not in 400 days" if free is None else at_text(free)))
        return rows

    @property
    def together(self) -> list[str]:
        """What is shared with other sub-pipelines, in sentences."""
        lines, cohort, fleet = [], self.cohort, self.policies.fleet
        if cohort is not None:
            lines.append(
                f"cohort {cohort.name}: {', '.join(cohort.members)}; doubles every"
                f" {cohort.period_days:g} days"
            )
        if fleet.splits_max is not None:
            lines.append(f"fleet: at most {fleet.splits_max} in a pilot at once")
        if fleet.advances_per_day_max is not None:
            lines.append(f"fleet: at most {fleet.advances_per_day_max} advances a day")
        return lines

    def to_json(self) -> Json:
        """What scripts read."""
        cohort = self.cohort
        return {
            "sub_pipeline": self.name,
            "values": self.policy.model_dump(mode="json"),
            "sources": dict(self.sources),
            "steps_bp": list(self.steps_bp),
            "holdback_bp": self.holdback_bp,
            "held_by_calendar": self.held,
            "next_free_at": plain_json(self.free_at),
            "cohort": None if cohort is None else cohort.model_dump(mode="json"),
            "fleet": self.policies.fleet.model_dump(mode="json"),
            "policy_difference": self.difference,
        }


@dataclass(frozen=True, slots=True)
class PolicyList:
    """Every policy in force, that of all without one of their own first.

    `difference` says what the file says instead, where the leader has read another one.
    """

    pages: tuple[PolicyPage, ...]
    difference: str | None

    def to_json(self) -> Json:
        """What scripts read."""
        pages = [page.to_json() for page in self.pages]
        return {"policies": pages, "difference": self.difference}


def read_policies(
    in_force: InForce, ledger: Declarations, only: frozenset[str] | None, now: datetime
) -> PolicyList:
    """Read the policies in force of all sub-pipelines, or of these alone."""
    known = read_known(ledger, now, traffic=False)
    names = names_of(in_force.policies, known)
    wanted = [None, *names] if only is None else [one for one in names if one in only]
    pages = tuple(PolicyPage(name, now, in_force.policies, known) for name in wanted)
    return PolicyList(pages, in_force.difference)


def read_policy(
    policies: Policies,
    ledger: Declarations,
    name: str | None,
    now: datetime,
    difference: Callable[[], str | None],
) -> PolicyPage:
    """Read the policy of the file, and where the one in force differs.

    Raises:
        UnknownSubPipeline: Neither a policy nor the ledger knows the name.
    """
    known = read_known(ledger, now, traffic=False)
    require_name(policies, known, name)
    differs = difference() if known.unanswered is None else None
    return PolicyPage(name, now, policies, known, differs)


def value_text(policy: Policy, field: str) -> str:
    """One value as people read it; several lines for a list."""
    value: Any = getattr(policy, field)
    if field == "freezes":
        lines = [
            f"{one.begin:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M}"
            f"{': ' + one.why if one.why else ''}"
            for one in value
        ]
        return "\n".join(lines) or "-"
    if field == "quiet":
        return "\n".join(str(one) for one in value) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
