"""The plan of a trial: its way, how long an equal path takes, what each step has to show.

A pure function of policy and traffic. It uses the arithmetic of the judgement on pilots drawn with
a fixed seed, so a plan printed twice is the same plan. What it leaves out makes a real trial
slower: calendars, overdue drills, fleet limits and jobs that are not independent.

Source: small-pilots method, section 5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from math import ceil, inf, isfinite

from rollout.evidence.counts import Counts
from rollout.evidence.detectable import detectable_rate
from rollout.evidence.error_rate import process_of
from rollout.evidence.harm_budget import LATE_RATE, HarmBudget, margin
from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.evidence.process import BettingProcess
from rollout.evidence.step_odds import Margins, Odds, odds
from rollout.evidence.stored import Json
from rollout.policy import ladder
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.effects import Effects
from rollout.routing.stages import BP_ALL

PILOTS = 400
"""Drawn for each number; a share is right to about five points."""

WEEK_DAYS = 7.0


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of the way.

    Attributes:
        scope_bp: Its scope.
        jobs_a_week: Concurrent jobs a week.
        points_failed: What the failure rate has to be shown not to exceed, in points of 0..1.
        points_late: The same of late jobs.
        first_look: Share of equal paths that is proven at the first look.
        proven: Share that is proven at any of the looks; the others need a person.
        days_nine: Days by which nine of ten are proven; None when that never comes.
        failed_worst: Extra failed jobs at the worst before a revert or, on a path that is proven,
            the end of the step. A harm that is held goes on beyond it.
        reverted_first: Failure rate of the concurrent path, 0..1, from which on about half of
            pilots are reverted by the first look; None when not even a rate of 1 shows by then.
        reverted_last: The same by the last look, after which a person decides.
    """

    scope_bp: int
    jobs_a_week: float
    points_failed: float
    points_late: float
    first_look: float
    proven: float
    days_nine: float | None
    failed_worst: int
    reverted_first: float | None
    reverted_last: float | None


@dataclass(frozen=True, slots=True)
class Length:
    """How long an equal path takes with one budget.

    Attributes:
        factor: Of the budget in force.
        failed: Extra failed jobs a week that it allows.
        late: Extra late jobs a week.
        days_half: Days until half of equal paths have graduated; None when they never do.
        days_nine: Days until nine of ten have.
        person: Share that needs a person.
    """

    factor: float
    failed: float
    late: float
    days_half: float | None
    days_nine: float | None
    person: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan.

    Attributes:
        baseline: Jobs a week and legacy's failure rate.
        late_a_week: Jobs of both paths that are late by definition, a week.
        stated_failed, stated_late: Whether the policy states the budget.
        shadow: Whether a shadow comes first.
        steps: The way.
        length: With the budget in force.
        half, double: With half and with twice of it.
        first_day, last_day: Days of a step's first and last look.
    """

    baseline: Baseline
    late_a_week: float
    stated_failed: bool
    stated_late: bool
    shadow: bool
    steps: tuple[StepPlan, ...]
    length: Length
    half: Length
    double: Length
    first_day: float
    last_day: float

    @property
    def failed_a_week(self) -> float:
        """Jobs that legacy fails a week, with every job on it."""
        return self.baseline.rate_failed * self.baseline.jobs_a_week

    @property
    def hardly(self) -> bool:
        """Whether the traffic can hardly prove this budget: one path in ten needs a person."""
        return self.length.person > 0.1

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "jobs_a_week": self.baseline.jobs_a_week,
            "failed_a_week": self.failed_a_week,
            "late_a_week": self.late_a_week,
            "shadow": self.shadow,
            "stated_failed": self.stated_failed,
            "stated_late": self.stated_late,
            "steps": [asdict(one) for one in self.steps],
            "length": asdict(self.length),
            "half": asdict(self.half),
            "double": asdict(self.double),
            "first_day": self.first_day,
            "last_day": self.last_day,
        }


def plan_for(
    policy: Policy,
    baseline: Baseline,
    holdback_bp: int,
    effects: Effects | None = None,
    pilots: int = PILOTS,
) -> Plan:
    """Plan a trial.

    Args:
        policy: The policy in force.
        baseline: What the jobs are like; more than 0 a week.
        holdback_bp: The one declared in code.
        effects: What the paths do to the world; a shadow comes first where they allow one.
        pilots: How many to draw for each number.

    Returns:
        The plan; without steps where cap and holdback leave none.
    """
    shadow = effects is not None and effects.shadowable
    budget = ladder.budget_of(policy, baseline)
    bake_days = max(policy.bake_days, 1.0)
    way = ladder.steps_bp(policy, holdback_bp, baseline, shadowed=shadow)
    budgets = [budget.times(factor) for factor in FACTORS]
    points = [_points(baseline, one, way, holdback_bp) for one in budgets]
    drawn = [
        _drawn(policy, baseline, scope_bp, asked, pilots, last=number == len(way) - 1)
        for number, (scope_bp, *asked) in enumerate(zip(way, *points, strict=True))
    ]
    steps = tuple(
        _step(policy, baseline, scope_bp, asked, found[0])
        for scope_bp, asked, found in zip(way, points[0], drawn, strict=True)
    )
    length, half, double = (
        _length(policy, factor, one, [found[place] for found in drawn], shadow=shadow)
        for place, (factor, one) in enumerate(zip(FACTORS, budgets, strict=True))
    )
    return Plan(
        baseline,
        LATE_RATE * baseline.jobs_a_week,
        policy.budget_failed is not None,
        policy.budget_late is not None,
        shadow,
        steps,
        length,
        half,
        double,
        look_day(1, bake_days),
        look_day(LOOKS_MAX, bake_days),
    )


@lru_cache(maxsize=2048)
def proofs_of(
    policy: Policy, baseline: Baseline, way: tuple[int, ...], holdback_bp: int, pilots: int
) -> tuple[float, ...]:
    """How likely a healthy path proves each step for the budget in force, 0..1, as a plan says it.

    Drawing pilots takes a quarter of a second, and whoever checks the policies of hundreds asks
    again each minute: what was found is kept by what it was found from.

    Args:
        policy: The policy in force.
        baseline: What the jobs are like.
        way: Scope of each step, in basis points.
        holdback_bp: The one declared in code.
        pilots: How many to draw for each step.
    """
    points = _points(baseline, ladder.budget_of(policy, baseline), way, holdback_bp)
    return tuple(
        _drawn(policy, baseline, scope_bp, [asked], pilots, last=number == len(way) - 1)[0].proven
        for number, (scope_bp, asked) in enumerate(zip(way, points, strict=True))
    )


FACTORS = (1.0, 0.5, 2.0)
"""The budget in force, half of it, and twice."""


def _points(
    baseline: Baseline, budget: HarmBudget, way: tuple[int, ...], holdback_bp: int
) -> list[Margins]:
    """What each step has to show: the margin by the scope after it."""
    after = (*way[1:], BP_ALL - holdback_bp)[: len(way)]
    shares = [max(after_bp, 1) / BP_ALL for after_bp in after]
    return [
        Margins(
            *(
                margin(one, baseline.jobs_a_week, share).absolute
                for one in (budget.failed, budget.late, budget.slow)
            )
        )
        for share in shares
    ]


def _drawn(
    policy: Policy,
    baseline: Baseline,
    scope_bp: int,
    asked: list[Margins],
    pilots: int,
    *,
    last: bool,
) -> tuple[Odds, ...]:
    """Healthy pilots at one step, held against each budget."""
    if scope_bp >= BP_ALL:  # no job of legacy is left to compare with
        return tuple(Odds((inf,) * pilots) for _ in asked)
    return odds(
        baseline.jobs_a_week,
        scope_bp / BP_ALL,
        baseline.rate_failed,
        asked,
        max(policy.bake_days, 1.0),
        last=last,
        pilots=pilots,
    )


def _step(
    policy: Policy, baseline: Baseline, scope_bp: int, points: Margins, found: Odds
) -> StepPlan:
    share, bake_days = scope_bp / BP_ALL, max(policy.bake_days, 1.0)
    process = process_of(policy.revert_margin, policy.alpha_error)
    nine = found.day(0.9)
    lasts = nine if isfinite(nine) else look_day(LOOKS_MAX, bake_days)
    return StepPlan(
        scope_bp,
        baseline.jobs_a_week * share,
        points.failed,
        points.late,
        found.by(bake_days),
        found.proven,
        nine if isfinite(nine) else None,
        failed_worst(process, baseline, share, lasts),
        reverted_from(process, baseline, share, bake_days),
        reverted_from(process, baseline, share, look_day(LOOKS_MAX, bake_days)),
    )


def reverted_from(
    process: BettingProcess, baseline: Baseline, share: float, days: float
) -> float | None:
    """Give the failure rate from which on the revert test has seen enough after so many days.

    Args:
        process: The revert test on failures, as strict as the policy has it.
        baseline: What the jobs are like.
        share: Share of jobs on the concurrent path, in (0, 1].
        days: Since the step began.

    Returns:
        A rate in 0..1, seen in about half of pilots by then; None when not even 1 shows.
    """
    jobs = baseline.jobs_a_week * days / WEEK_DAYS
    counts = Counts(int(jobs * share), 0, int(jobs * (1 - share)), 0)
    return detectable_rate(process, counts, baseline.rate_failed)


def failed_worst(process: BettingProcess, baseline: Baseline, share: float, days: float) -> int:
    """Give the extra failed jobs of a step at the worst.

    The worst fault is the one that the revert test sees only when the step ends: a larger one is
    seen sooner, a smaller one costs less.
    """
    jobs = baseline.jobs_a_week * days / WEEK_DAYS
    rate = baseline.rate_failed
    worst = 0.0
    for part in (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0):
        n, m = int(jobs * share * part), int(jobs * (1 - share) * part)
        if n == 0 or m == 0:
            continue
        seen = detectable_rate(process, Counts(n, 0, m, 0), rate)
        worst = max(worst, n * ((1.0 if seen is None else seen) - rate))
    return ceil(max(0.0, worst))


def _length(
    policy: Policy, factor: float, budget: HarmBudget, drawn: list[Odds], *, shadow: bool
) -> Length:
    bake_days = max(policy.bake_days, 1.0)
    if not drawn:
        return Length(factor, budget.failed, budget.late, None, None, 1.0)
    found = Odds((bake_days if shadow else 0.0,) * len(drawn[0].days))
    for one in drawn:
        found = found.then(one)
    half, nine = found.day(0.5), found.day(0.9)
    return Length(
        factor,
        budget.failed,
        budget.late,
        half if isfinite(half) else None,
        nine if isfinite(nine) else None,
        1.0 - found.proven,
    )
