"""Does a step show that the next one keeps to the harm budget? Findings in jobs a week.

The burden of proof lies on the new path: "not shown to be worse" is INSUFFICIENT here, and only
"shown to cost no more than the budget" is PASS.

Source: small-pilots method, section 1; Farrington & Manning, Statistics in Medicine 1990.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil, log, sqrt

from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.detectable import smallest
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.harm_budget import margin
from rollout.evidence.pair_wealth import PROVEN_AT, RECOVERY_RATIO, peak
from rollout.evidence.promotion import score
from rollout.evidence.verdict import Finding, Verdict


class Event(Enum):
    """What can happen to a job that a budget counts."""

    FAILED = ("error_rate_step", "failed")
    """The path that it was assigned to failed it."""
    LATE = ("cycle_tail", "late")
    """It took longer than 95 of 100 legacy jobs, or failed."""
    SLOW = ("cycle_median", "slow")
    """It took longer than half of legacy's jobs, or failed."""

    @property
    def metric(self) -> str:
        """The word in findings."""
        return self.value[0]

    @property
    def word(self) -> str:
        """The word in sentences."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Stake:
    """What one event may cost at the next step.

    Attributes:
        budget: Extra events a week.
        jobs_a_week: Jobs a week on both paths.
        share: Share of jobs that the next step puts on the concurrent path, in (0, 1].
        limit: Score at or under which it is shown.
        whose: Whose jobs these are, where several pipelines share the budget.
    """

    budget: float
    jobs_a_week: float
    share: float
    limit: float
    whose: str = ""

    @property
    def margin(self) -> Margin:
        """The same in points of the rate."""
        return margin(self.budget, self.jobs_a_week, self.share)

    def cost(self, points: float) -> float:
        """What so many points of the rate cost at the next step, in events a week."""
        return points * self.jobs_a_week * self.share


def step_finding(event: Event, counts: Counts, stake: Stake, phi: float = 1.0) -> Finding:
    """Score one event of a step: PASS when it is shown to keep to its budget.

    Args:
        event: What is counted.
        counts: Totals of the step.
        stake: What the event may cost.
        phi: Spread of hourly differences beyond chance, >= 1.

    Returns:
        A finding whose value is the score, and whose `detectable` is the least difference in
        points of the rate that these jobs rule out; None when they rule out nothing.
    """
    phi = max(1.0, phi)
    z = score(counts, stake.margin, phi)
    ruled_out = least_ruled_out(counts, stake.limit, phi)
    proven = z is not None and z <= stake.limit
    return Finding(
        event.metric,
        Verdict.PASS if proven else Verdict.INSUFFICIENT,
        z,
        stake.limit,
        counts.n_concurrent,
        counts.n_legacy,
        ruled_out,
        _said(event, stake, ruled_out, proven=proven),
    )


def least_ruled_out(counts: Counts, limit: float, phi: float = 1.0) -> float | None:
    """Give the least difference of the rates, in points, that these counts rule out.

    Returns:
        In -1..1: the margin with which they would just pass; None when not even the largest does.
    """
    if not counts.both_paths:
        return None
    room = 1.0 - counts.k_legacy / counts.n_legacy - 1e-9

    def out(points: float) -> bool:
        z = score(counts, Margin(1.0, points), phi)
        return z is not None and z <= limit

    return smallest(out, 0.0, room, halvings=30) if room > 0.0 else None


def _said(event: Event, stake: Stake, ruled_out: float | None, *, proven: bool) -> str:
    at = f"at {100 * stake.share:.3g} %"
    budget = f"the budget is {stake.budget:,.0f}"
    if ruled_out is None:
        whose = f" of {stake.whose}" if stake.whose else ""
        return f"Nothing is shown yet of {event.word} jobs {at}; {budget} a week{whose}."
    if stake.whose:
        budget += f", of {stake.whose}"
    if not proven and stake.cost(stake.margin.absolute) < 0.999 * stake.budget:
        # So few jobs that their budget is more than any step may leave open.
        return (
            f"Shown so far: at most {100 * ruled_out:,.3g} points more {event.word} jobs {at}, and"
            f" at most {100 * stake.margin.absolute:.3g} points have to be shown: too few jobs yet"
            f" ({budget} a week)."
        )
    cost = max(0.0, stake.cost(ruled_out))
    most = f"{cost:,.0f}"
    if not proven and most == f"{stake.budget:,.0f}":
        # "at most 12, the budget is 12" would look proven, and is not.
        most = f"{ceil(10 * cost) / 10:,.1f}"
    shown = f"at most {most} extra {event.word} jobs a week {at}"
    return f"Shown: {shown}, {budget}." if proven else f"Shown so far: {shown}, {budget}."


def between(event: Event, counts: Counts, stake: Stake, phi: float = 1.0) -> str:
    """Say what a step leaves open: what the path may have fewer or more of, a week, 95 %."""
    if not counts.both_paths:
        return f"nothing is known of {event.word} jobs"
    p_new, p_old = counts.k_concurrent / counts.n_concurrent, counts.k_legacy / counts.n_legacy
    # One more of each on either path, so that none seen does not count as none possible.
    n, m = counts.n_concurrent + 2, counts.n_legacy + 2
    new, old = (counts.k_concurrent + 1) / n, (counts.k_legacy + 1) / m
    spread = _TWO_SIDED * sqrt(max(1.0, phi) * (new * (1 - new) / n + old * (1 - old) / m))
    low, high = (stake.cost(p_new - p_old + side * spread) for side in (-1, 1))
    fewer = f"{-low:,.0f} fewer" if low < 0 else f"{low:,.0f} more"
    more = f"{high:,.0f} more" if high >= 0 else f"{-high:,.0f} fewer"
    return f"between {fewer} and {more} {event.word} jobs a week"


_TWO_SIDED = 1.96
"""Standard errors to each side of 95 %."""


def pairs_finding(metric: str, pairs: Sequence[DrillPair]) -> Finding:
    """Score drill pairs: PASS when recovery is shown to take less than twice legacy's.

    Args:
        metric: The word in findings.
        pairs: Of one build, oldest first; what neither path healed from in time compares nothing.
    """
    used = [one for one in pairs if not one.both_censored]
    found = peak([one.concurrent_s / one.legacy_s for one in used])
    proven = found >= PROVEN_AT
    n = len(used)
    if not n:
        sentence = "No drill has shown yet how the path heals."
    elif proven:
        sentence = f"{n} drills show that it heals within {RECOVERY_RATIO:g} times legacy's time."
    else:
        sentence = (
            f"{n} drills do not show yet that it heals within {RECOVERY_RATIO:g} times legacy's"
            f" time: {_pairs_more(n, found)}."
        )
    verdict = Verdict.PASS if proven else Verdict.INSUFFICIENT
    return Finding(metric, verdict, found, PROVEN_AT, n, n, RECOVERY_RATIO, sentence)


def _pairs_more(n: int, found: float) -> str:
    """How many drills more it takes: wealth grows by a factor with each."""
    if found <= 1.0:
        return "it healed too slowly in them"
    more = ceil(n * log(PROVEN_AT) / log(found)) - n
    return f"about {more} more like them would" if more <= n * 10 else "far more like them would"


def shadow_finding(raised: Counts, stake: Stake) -> Finding:
    """Score stage shadow: failures of the concurrent path against legacy on the same inputs.

    Args:
        raised: Shadows of the concurrent path and runs of legacy again, with those that raised.
        stake: What failures may cost at the first step.
    """
    z = score(raised, stake.margin)
    proven = z is not None and z <= stake.limit
    ruled_out = least_ruled_out(raised, stake.limit)
    sentence = _said(Event.FAILED, stake, ruled_out, proven=proven)
    if not raised.n_legacy:
        sentence = "No job was run again on legacy, so nothing says how often its inputs fail."
    return Finding(
        SHADOW_FAILED,
        Verdict.PASS if proven else Verdict.INSUFFICIENT,
        z,
        stake.limit,
        raised.n_concurrent,
        raised.n_legacy,
        ruled_out,
        sentence,
    )


SHADOW_FAILED = "shadow_failed"
"""The metric of stage shadow's failures."""
