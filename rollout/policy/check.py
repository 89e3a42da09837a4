"""Looks into policies with what the ledger knows: declarations, and the traffic of a week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from rollout.errors import LedgerUnreachable, UnknownSubPipeline
from rollout.policy.lint.finding import PolicyFinding, Subject, Traffic
from rollout.policy.lint.fleet import lint_fleet, lint_name
from rollout.policy.lint.rules import lint, worst_first
from rollout.policy.policy import Policies
from rollout.policy.ports import Arrived
from rollout.policy.tables import named_in
from rollout.routing.effects import Effects
from rollout.routing.stages import HOLDBACK_BP, ControlState

SEEN_DAYS = 7
"""Traffic is what has finished in a week: every weekday once."""

SPAN_MIN = timedelta(hours=1)
"""A shorter record is taken for an hour's, so that a first burst is not taken for a week's."""

EARLY = timedelta(minutes=10)
"""A record of less than this says nothing about a week: no step is sized with it."""


class Declarations(Protocol):
    """What is asked of the ledger."""

    def controls(self) -> list[ControlState]:
        """Read all control rows."""
        ...

    def arrivals(self, since: datetime, name: str | None = None) -> list[Arrived]:
        """Count the jobs of each, or one, that have finished since then."""
        ...

    def declared_effects(self) -> Mapping[str, Effects]:
        """Effects of every declared sub-pipeline."""
        ...


@dataclass(frozen=True, slots=True)
class Assumed:
    """Traffic that a person states; None is taken from the ledger."""

    jobs_per_week: float | None = None
    error_rate: float | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask."""
        return self.jobs_per_week is not None and self.error_rate is not None

    def over(self, traffic: Traffic | None) -> Traffic | None:
        """The stated traffic, what is missing of it taken from what was seen; None if nowhere."""
        jobs = self.jobs_per_week
        if jobs is None and traffic is not None:
            jobs = traffic.jobs_per_week
        rate = self.error_rate
        if rate is None and traffic is not None:
            rate = traffic.error_rate
        # Nobody knows how often it fails: its late and slow jobs can be sized all the same.
        return None if jobs is None else Traffic(jobs, rate)


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows; empty when it was not asked or did not answer.

    Attributes:
        states: Control states by name; None when nobody could tell.
        effects: By name.
        arrived: Finished jobs of the last week by name.
        unanswered: Why the ledger did not answer.
    """

    states: Mapping[str, ControlState] | None = None
    effects: Mapping[str, Effects] = field(default_factory=dict)
    arrived: Mapping[str, Arrived] = field(default_factory=dict)
    unanswered: LedgerUnreachable | None = None

    def holdback_bp(self, name: str | None) -> int:
        """The holdback that was declared, else the usual one."""
        state = None if name is None else (self.states or {}).get(name)
        return HOLDBACK_BP if state is None else state.holdback_bp

    def early(self, name: str, now: datetime) -> timedelta | None:
        """How short the record is, where it is too short to size anything; else None."""
        arrived = self.arrived.get(name)
        if arrived is None or now - arrived.first_at >= EARLY:
            return None
        return max(now - arrived.first_at, timedelta(0))

    def traffic(self, name: str, now: datetime) -> Traffic | None:
        """What arrives, scaled to a week; None when no job or no legacy job has finished."""
        arrived = self.arrived.get(name)
        if arrived is None or arrived.legacy_jobs == 0 or self.early(name, now) is not None:
            return None
        span = max(now - arrived.first_at, SPAN_MIN)
        weeks = span / timedelta(days=SEEN_DAYS)
        return Traffic(arrived.jobs / weeks, arrived.legacy_failed / arrived.legacy_jobs)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and what it was drawn from.

    Attributes:
        findings: The worst first.
        traffic: By name, as it was taken; a name without it was not sized.
        known: What the ledger said.
        early: Names whose record is too short to size anything, and how short it is.
    """

    findings: tuple[PolicyFinding, ...]
    traffic: Mapping[str, Traffic]
    known: Known
    early: Mapping[str, timedelta] = field(default_factory=dict)


def read_known(
    ledger: Declarations, now: datetime, name: str | None = None, *, traffic: bool = True
) -> Known:
    """Ask the ledger; one that does not answer is no error here, but is said.

    Args:
        ledger: What is asked.
        now: An aware time.
        name: Whose traffic alone is counted; None counts everybody's.
        traffic: Whether to count a week's jobs, which takes time on a large ledger.
    """
    try:
        states = {state.name: state for state in ledger.controls()}
        since = now - timedelta(days=SEEN_DAYS)
        arrived = {one.name: one for one in ledger.arrivals(since, name)} if traffic else {}
        return Known(states, ledger.declared_effects(), arrived)
    except LedgerUnreachable as error:
        return Known(unanswered=error)


def names_of(policies: Policies, known: Known) -> list[str]:
    """Every sub-pipeline that a policy names or the ledger holds, each once."""
    return list(dict.fromkeys([*named_in(policies), *(known.states or ())]))


def require_name(policies: Policies, known: Known, name: str | None) -> None:
    """Refuse a name that neither a policy nor the ledger knows, if the ledger could be asked.

    Raises:
        UnknownSubPipeline: There is no such name.
    """
    names = names_of(policies, known)
    if name is not None and known.states is not None and name not in names:
        raise UnknownSubPipeline(name, names)


def check_policies(
    policies: Policies, known: Known, name: str | None, assumed: Assumed, now: datetime
) -> Checked:
    """Lint the default and every sub-pipeline, or one.

    What is true of the default is said once and not again for each that inherits it.

    Args:
        policies: All of them.
        known: What the ledger said.
        name: One sub-pipeline; None for all and the default.
        assumed: Traffic that a person states.
        now: An aware time.

    Raises:
        UnknownSubPipeline: There is no such name, and nobody has stated its traffic.
    """
    if not assumed.complete:  # what is stated may be of one that is planned
        require_name(policies, known, name)
    # What is stated is of the one that is asked about, or of what the file is written for.
    all_names = named_in(policies) if assumed.complete else names_of(policies, known)
    names = all_names if name is None else [name]
    traffic = {one: assumed.over(known.traffic(one, now)) for one in names}
    default = Subject(policies.default, traffic=assumed.over(None))
    found = list(lint(default, now)) if name is None else []
    said = {(finding.rule, finding.sentence) for finding in found}
    for each in names:
        subject = Subject(
            policies.of(each), each, known.holdback_bp(each), known.effects.get(each), traffic[each]
        )
        found += [
            finding
            for finding in lint(subject, now)
            if (finding.rule, finding.sentence) not in said
        ]
    between = lint_fleet(policies, None if known.states is None else list(known.states))
    found += [finding for finding in between if name in (None, finding.subject)]
    if name is not None:
        found += lint_name(policies, name, known.states)
    sized = {one: taken for one, taken in traffic.items() if taken is not None}
    spans = {one: known.early(one, now) for one in names if one not in sized}
    early = {one: span for one, span in spans.items() if span is not None}
    return Checked(worst_first(found), sized, known, early)
