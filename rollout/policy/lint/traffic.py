"""What the traffic of a sub-pipeline could prove: each step's chance to pass, and where to begin.

The question is asked of a healthy path, as good as legacy: how likely do its jobs show that it is
within the error margin of the step before the looks are used up? A look is taken every
`bake_days`. The cycle time has a test of its own, whose need depends on how much the cycle times
spread; with little spread it needs less than this, with much it needs more.

Source: evidence method, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import inf
from statistics import NormalDist

from rollout.evidence.betting import Margin
from rollout.evidence.promotion import LOOKS_MAX
from rollout.evidence.sizing import jobs_needed, pass_chance
from rollout.policy.lint.finding import Level, PolicyFinding, Subject, Traffic, percent
from rollout.policy.policy import Policy
from rollout.routing.stages import BP_ALL

CHANCE_WANTED = 0.8
"""A step that a healthy path passes less often than this is too small for its traffic."""

CHANCE_HOPELESS = 0.05
"""Under this a step is never proved; a path on the margin would pass as often."""

FAILURES_EXACT_MAX = 5_000
"""Beyond so many failures a look the exact sum over looks is slow; one look is exact enough."""

JOBS_MAX = 1_000_000
"""More jobs a look than this prove nothing further."""

GAPS = 3.0
"""Random arrivals leave a gap of three mean ones in 5 % of cases."""

WEEK_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class StepProof:
    """What one step's traffic can prove.

    Attributes:
        scope_bp: The step.
        jobs_per_look: Concurrent jobs between two looks.
        chance: That a healthy path has passed by the last look, 0..1; a lower bound where
            failures are many or looks are more than four.
    """

    scope_bp: int
    jobs_per_look: int
    chance: float


def proofs(policy: Policy, steps_bp: tuple[int, ...], arriving: Traffic) -> tuple[StepProof, ...]:
    """Size each step for the traffic.

    Args:
        policy: Whose margins, looks and bake time count.
        steps_bp: The steps, growing, in basis points.
        arriving: What arrives.
    """
    return tuple(_proof(policy, step, arriving) for step in steps_bp)


def _proof(policy: Policy, scope_bp: int, arriving: Traffic) -> StepProof:
    a_look = arriving.jobs_per_week * _look_s(policy) / WEEK_S
    n_concurrent = min(JOBS_MAX, int(a_look * scope_bp / BP_ALL))
    n_legacy = min(10 * JOBS_MAX, int(a_look * (BP_ALL - scope_bp) / BP_ALL))
    margin, rate = policy.margins_at(scope_bp).margin.error, arriving.error_rate
    if n_concurrent == 0 or n_legacy == 0 or not _bounded(margin, rate):
        return StepProof(scope_bp, n_concurrent, 0.0)
    chance = _chance(n_concurrent, n_legacy, rate, margin, policy)
    return StepProof(scope_bp, n_concurrent, chance)


def _bounded(margin: Margin, rate: float) -> bool:
    """Whether any number of failures lies beyond the margin."""
    return margin.ratio * rate + margin.absolute < 1.0


def jobs_enough(policy: Policy, scope_bp: int, rate: float) -> int | None:
    """Concurrent jobs a look with which a healthy path passes at the first one, 95 times in 100.

    Args:
        policy: Whose margins and looks count.
        scope_bp: The step, in basis points.
        rate: Failure rate of both paths, 0..1.

    Returns:
        Jobs, to within 1 %; None when no number of jobs is enough.
    """
    margin = policy.margins_at(scope_bp).margin.error
    if scope_bp == BP_ALL or not _bounded(margin, rate):
        return None
    return jobs_needed(rate, margin, scope_bp / BP_ALL, z_limit=_z_limit(policy))


def _look_s(policy: Policy) -> float:
    """Real seconds between two looks."""
    return max(policy.bake_days, 1.0) * policy.day_s


def _z_limit(policy: Policy) -> float:
    return NormalDist().inv_cdf(policy.alpha_promote / policy.looks_max)


def _chance(n_concurrent: int, n_legacy: int, rate: float, margin: Margin, policy: Policy) -> float:
    looks, z_limit = min(policy.looks_max, LOOKS_MAX), _z_limit(policy)
    if rate * n_concurrent <= FAILURES_EXACT_MAX:
        return pass_chance(n_concurrent, n_legacy, rate, margin, looks, z_limit)
    return max(
        pass_chance(look * n_concurrent, look * n_legacy, rate, margin, 1, z_limit)
        for look in range(1, looks + 1)
        if look * n_concurrent <= JOBS_MAX
    )


def provable(found: tuple[StepProof, ...]) -> tuple[int, ...]:
    """The steps that are worth taking: those that a healthy path passes often enough."""
    return tuple(step.scope_bp for step in found if step.chance >= CHANCE_WANTED)


def traffic(subject: Subject, now: datetime) -> Iterator[PolicyFinding]:
    """Steps that the traffic cannot prove, and what little traffic does to the way back."""
    if subject.traffic is None or not subject.steps_bp:
        return
    found = proofs(subject.policy, subject.steps_bp, subject.traffic)
    if provable(found):
        yield from _weak_steps(subject.policy, subject.traffic, found)
    else:
        yield _nothing(subject.policy, subject.traffic, found)
    yield from _too_few(subject.policy, found)
    yield from _way_back_seen(subject, subject.traffic)


def _weak_steps(
    policy: Policy, arriving: Traffic, found: tuple[StepProof, ...]
) -> Iterator[PolicyFinding]:
    """Steps that traffic is too small for, while others can be proved."""
    ladder = provable(found)
    first = next(step for step in found if step.scope_bp == ladder[0])
    todo = f"leave it out: ladder_bp = {list(ladder)}; or pool similar sub-pipelines"
    if first is not found[0]:
        todo = (
            f"begin at {percent(first.scope_bp)}, which passes in {first.chance:.0%} of cases:"
            f" ladder_bp = {list(ladder)}; or pool similar sub-pipelines"
        )
    for step in found:
        if step.chance >= CHANCE_WANTED:
            continue
        hopeless = step.chance < CHANCE_HOPELESS
        yield PolicyFinding(
            Level.ERROR if hopeless else Level.WARNING,
            "never_proved" if hopeless else "hardly_proved",
            f"Step {percent(step.scope_bp)}: {_numbers(policy, arriving, step)}.",
            todo,
        )


def _nothing(policy: Policy, arriving: Traffic, found: tuple[StepProof, ...]) -> PolicyFinding:
    """No step at all can be proved."""
    best = max(found, key=lambda step: step.chance)
    return PolicyFinding(
        Level.ERROR,
        "nothing_proved",
        f"{arriving.jobs_per_week:,.0f} jobs a week prove no step at all. The best is"
        f" {percent(best.scope_bp)}: {_numbers(policy, arriving, best)}.",
        "pool similar sub-pipelines into one, or let a person decide: automatic = false",
    )


def _numbers(policy: Policy, arriving: Traffic, step: StepProof) -> str:
    often = f"in {step.chance:.0%} of cases" if step.chance >= 0.005 else "practically never"
    enough = jobs_enough(policy, step.scope_bp, arriving.error_rate)
    needed = "no number is enough" if enough is None else f"{enough:,} show it at once"
    return (
        f"{step.jobs_per_look:,} concurrent jobs a look show {often} by look {policy.looks_max}"
        f" that a healthy path is within the error margin, when {arriving.error_rate:.2%} of"
        f" legacy's fail; {needed}"
    )


def _too_few(policy: Policy, found: tuple[StepProof, ...]) -> Iterator[PolicyFinding]:
    """`jobs_min` that the step does not see before its last look."""
    for step in found:
        jobs = step.jobs_per_look * policy.looks_max
        if jobs < policy.jobs_min:
            yield PolicyFinding(
                Level.ERROR,
                "jobs_min_unreachable",
                f"Step {percent(step.scope_bp)} sees {jobs:,} concurrent jobs in"
                f" {policy.looks_max} looks, jobs_min asks for {policy.jobs_min:,}.",
                "lower jobs_min, or begin with a larger step",
            )


def _way_back_seen(subject: Subject, arriving: Traffic) -> Iterator[PolicyFinding]:
    """A last legacy success that is often too old, because legacy has little left to do."""
    policy = subject.policy
    for step in subject.steps_bp:
        successes = arriving.jobs_per_week * (1 - arriving.error_rate) * (BP_ALL - step) / BP_ALL
        gap_s = WEEK_S / successes if successes > 0 else inf
        if GAPS * gap_s > policy.legacy_success_age_s_max:
            often = "none" if gap_s == inf else f"one success in {gap_s:,.0f} s"
            yield PolicyFinding(
                Level.WARNING,
                "legacy_rarely_seen",
                f"At {percent(step)} legacy has {often}, and its way back is not ready when the"
                f" last one is older than {policy.legacy_success_age_s_max:,.0f} s: advances from"
                " there will often be held.",
                "see that legacy gets jobs: keep a holdback_bp"
                if gap_s == inf
                else f"use legacy_success_age_s_max = {GAPS * gap_s:.0f} or more",
            )
            return
