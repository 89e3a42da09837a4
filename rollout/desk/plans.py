"""What a person is told before a trial: its plan in sentences, from the ledger or from options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from rollout.desk.shadow_first import Beginnings, began_unshadowed, suggested
from rollout.errors import LedgerUnreachable, RolloutError
from rollout.evidence.buckets import bucket_edge_s
from rollout.evidence.harm_budget import HarmBudget
from rollout.evidence.stored import Json
from rollout.figures import count_text, figures_text
from rollout.pilot.together import all_of
from rollout.policy import ladder
from rollout.policy.plan import Length, Plan, plan_for
from rollout.policy.tables import mistaken_for
from rollout.policy.way import Baseline
from rollout.routing.effects import Effects
from rollout.routing.stages import HOLDBACK_BP, ControlState, Stage

if TYPE_CHECKING:
    from rollout.pilot.profile import LegacyProfile
    from rollout.policy.policy import Policies

WEEK = 7.0


class TrafficUnknown(RolloutError):
    """Nobody has counted the jobs of a sub-pipeline yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"a plan of {name!r} needs its traffic, and the ledger has seen none of its jobs",
            "say it: `rollout plan NAME --jobs-per-day 1000 --failing 0.005`",
        )


class PlanLedger(Beginnings, Protocol):
    """What is asked of the ledger, beside how the pilot began."""

    def profiles(self, names: Collection[str] | None = None) -> Mapping[str, LegacyProfile]:
        """Read what legacy showed, by sub-pipeline."""
        ...

    def controls(self) -> list[ControlState]:
        """Read all control rows."""
        ...


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a person states; None is taken from the ledger."""

    jobs_a_day: float | None = None
    failing: float | None = None
    cycle_p95_s: float | None = None
    effects: Effects | None = None

    @property
    def complete(self) -> bool:
        """Whether no ledger is needed."""
        return self.jobs_a_day is not None and self.failing is not None


@dataclass(frozen=True, slots=True)
class Shared:
    """The budget of a whole cohort.

    Attributes:
        cohort: Its name.
        members: How many it has.
        budget: Extra events a week with all of them on trial at once.
    """

    cohort: str
    members: int
    budget: HarmBudget

    @property
    def sentence(self) -> str:
        """Who shares what."""
        return (
            f"Cohort: members of {self.cohort!r} that are on trial at once share one budget and are"
            f" proven together; all {self.members} of them may add {self.budget.failed:,.0f} failed"
            f" and {self.budget.late:,.0f} late jobs a week."
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of one sub-pipeline, ready to be shown.

    Attributes:
        name: The sub-pipeline.
        plan: Its numbers.
        cycle_p95_s: Beyond it a job is late; None while nobody knows.
        begun: Whether the pilot has left legacy.
        effects: What its paths do to the world; None while nobody knows.
        shared: What it shares with the other members of its cohort; None without any.
        early: Whether its traffic is that of a day which has not ended: too little to size.
        failing_known: Whether somebody knows how often legacy fails; else it is sized as never.
        mistaken: The name in `rollout.toml` that seems to be meant for this one; None for none.
    """

    name: str
    plan: Plan
    cycle_p95_s: float | None = None
    begun: bool = False
    effects: Effects | None = None
    shared: Shared | None = None
    early: bool = False
    failing_known: bool = True
    mistaken: str | None = None

    @property
    def too_early(self) -> str:
        """Why its numbers are none yet, and what to do."""
        return (
            f"{self.name}: less than a day of its jobs was seen, too early to size a pilot; look "
            f"again tomorrow, or say it: `rollout plan {self.name} --jobs-per-day N --failing "
            "SHARE`. Sized as if no more came in a day:"
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The traffic, the budget, the way; a budget that can hardly be proved is said first."""
        plan, length = self.plan, self.plan.length
        stated = [
            word
            for word, on in (
                ("budget_failed", plan.stated_failed),
                ("budget_late", plan.stated_late),
            )
            if on
        ]
        by = (
            f"stated: {', '.join(stated)}"
            if stated
            else "by its traffic: budget_failed, budget_late"
        )
        fails = (
            f"legacy fails {count_text(plan.failed_a_week)} a week"
            if self.failing_known
            else "how many legacy fails is not known, sized as if none (--failing SHARE says it)"
        )
        late = "" if self.cycle_p95_s is None else f" (over {figures_text(self.cycle_p95_s)} s)"
        sentences = [
            f"{self.name}: {count_text(plan.baseline.jobs_a_week / WEEK)} jobs a day, {fails};"
            f" {count_text(plan.late_a_week)} a week are late by"
            f" definition{late}.",
            f"Budget: this pilot may add {length.failed:,.0f} failed and {length.late:,.0f} late"
            f" jobs a week at the most ({by}).",
            f"Way:    {self.way}; an equal path graduates {_weeks(length)}",
        ]
        if not self.begun and (plan.shadow or self.effects is None):
            sentences.append(suggested(self.name, sure=plan.shadow))
        if plan.hardly:
            sentences.insert(
                0,
                f"This budget can hardly be proved by this traffic: {length.person:.0%} of equal"
                " paths need a person to decide.",
            )
        if self.shared is not None:
            sentences.append(self.shared.sentence)
        if self.mistaken is not None:
            sentences.append(
                f"Note:   no table of rollout.toml is for {self.name!r}, and one is for"
                f" {self.mistaken!r}: nothing it says holds here."
            )
        if self.early:
            sentences.insert(0, self.too_early)
        return tuple(sentences)

    @property
    def way(self) -> str:
        """The steps in one line."""
        steps = " -> ".join(f"{one.scope_bp / 100:g} %" for one in self.plan.steps)
        return f"shadow 1 bake, then {steps}" if self.plan.shadow else steps or "none"

    @property
    def variants(self) -> tuple[str, ...]:
        """What half and double of the budget would change."""
        return tuple(
            f"{word} of the budget ({one.failed:,.0f} failed, {one.late:,.0f} late): {_weeks(one)}"
            + (f", {one.person:.0%} need a person" if one.person > 0.005 else "")
            for word, one in (("half", self.plan.half), ("double", self.plan.double))
        )

    @property
    def reverted(self) -> str:
        """What the rates of its steps mean from which on a pilot is reverted."""
        share = figures_text(100 * self.plan.baseline.rate_failed, 2)
        rate = f"{share} %" if self.failing_known else "none"
        return (
            f"Legacy fails {rate}. Of pilots that fail as often as this, about half are reverted by"
            " themselves by that day of the step:"
        )

    @property
    def held(self) -> tuple[str, ...]:
        """What becomes of a harm that is not reverted."""
        return (
            "A smaller harm beyond the budget reverts nothing: the scope holds, the harm goes on,"
            f" and after day {self.plan.last_day:g} of a step a person decides.",
            "A loss inside the budget is promoted; calendars, drills and fleet limits add weeks.",
        )

    @property
    def table(self) -> dict[str, float]:
        """The values of the budget in force, as `rollout.toml` takes them."""
        length = self.plan.length
        return {
            "budget_failed": float(round(length.failed)),
            "budget_late": float(round(length.late)),
        }

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "sub_pipeline": self.name,
            "cycle_p95_s": self.cycle_p95_s,
            "plan": self.plan.to_json(),
            "sentences": list(self.sentences),
            "variants": list(self.variants),
            "held": list(self.held),
            "cohort": None
            if self.shared is None
            else {"name": self.shared.cohort, **asdict(self.shared.budget)},
        }


def _weeks(length: Length) -> str:
    if length.days_half is None:
        return "never by itself"
    half = f"in {length.days_half / WEEK:.1f} weeks"
    if length.days_nine is None:
        return f"{half} when it does, fewer than 9 of 10 do"
    return f"{half}, 9 of 10 by {length.days_nine / WEEK:.1f}"


def planned(
    name: str, policies: Policies, assumed: Assumed, ledger: PlanLedger | None = None
) -> Planned:
    """Plan one sub-pipeline.

    Args:
        name: The sub-pipeline; need not be declared when the traffic is stated.
        policies: In force.
        assumed: What a person states.
        ledger: Asked for the rest; None when all is stated.

    Raises:
        TrafficUnknown: Nobody knows how many jobs come.
        LedgerUnreachable: The ledger does not answer, and no traffic is stated.
    """
    try:
        profile = None if ledger is None else ledger.profiles([name]).get(name)
    except LedgerUnreachable:
        if assumed.jobs_a_day is None:
            raise
        profile, ledger = None, None  # what is stated is enough to go on
    seen = None if profile is None else profile.baseline
    policy, holdback_bp, effects = policies.of(name), HOLDBACK_BP, assumed.effects
    begun, declared = False, frozenset[str]()
    if ledger is not None:
        states = {one.name: one for one in ledger.controls()}
        declared = frozenset(states)
        holdback_bp = states[name].holdback_bp if name in states else HOLDBACK_BP
        effects = effects or ledger.declared_effects().get(name)
        begun = name in states and states[name].stage is not Stage.LEGACY
        if begun and began_unshadowed(ledger, name):
            effects = None  # its shadow was left out
    jobs = assumed.jobs_a_day
    if jobs is None and seen is not None:
        jobs = seen.jobs_a_week / WEEK
    if not jobs:
        raise TrafficUnknown(name)
    rate = assumed.failing
    if rate is None:
        rate = 0.0 if seen is None else seen.rate_failed
    p95_s = assumed.cycle_p95_s
    if p95_s is None and profile is not None and profile.thresholds is not None:
        p95_s = bucket_edge_s(profile.thresholds.tail)
    plan = plan_for(policy, Baseline(WEEK * jobs, rate), holdback_bp, effects)
    shared = _shared(name, policies, plan.baseline, ledger)
    early = assumed.jobs_a_day is None and profile is not None and profile.first_day
    known = assumed.failing is not None or seen is not None
    mistaken = mistaken_for(policies, name, declared)
    return Planned(name, plan, p95_s, begun, effects, shared, early, known, mistaken)


def _shared(
    name: str, policies: Policies, own: Baseline, ledger: PlanLedger | None
) -> Shared | None:
    """The budget of its cohort; a member of which nothing is known is taken to be like it."""
    cohort = policies.cohort_of(name)
    if cohort is None or len(cohort.members) < 2:
        return None
    profiles = {} if ledger is None else ledger.profiles(cohort.members)
    known = {one: found.baseline for one, found in profiles.items()}
    traffic = [own if one == name else known.get(one) or own for one in cohort.members]
    budget = ladder.budget_of(policies.of(name), all_of(traffic))
    return Shared(cohort.name, len(cohort.members), budget)
