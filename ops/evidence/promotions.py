"""P rows: who is promoted, rightly and wrongly."""

from __future__ import annotations

from functools import partial

import numpy as np

from ops.evidence.cycles import lognormal, lognormal_quantile
from ops.evidence.row import Row
from ops.evidence.traffic import DAY_S, JOBS_A_DAY
from rollout.evidence import sample_ratio
from rollout.evidence.betting import Margin
from rollout.evidence.buckets import GROWTH
from rollout.evidence.counts import Counts
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.margins import StepMargin, margin_for
from rollout.evidence.promote import decide
from rollout.evidence.promotion import LOOKS_MAX, Z_LIMIT, overdispersion, score
from rollout.evidence.recovery import finding as recovery_finding
from rollout.evidence.verdict import Finding, Verdict

RATE = 0.005
HOURS = 168
NOTHING_SHIFTED = 1.0


PROOFS = ("error_rate", "cycle_median", "cycle_tail", "recovery")
"""What P3 takes away one by one."""


def hours_of(rng: np.random.Generator, scope: float, p_new: float, p_old: float) -> list[Counts]:
    """Draw the hours of one week."""
    jobs = JOBS_A_DAY * 3600 / DAY_S
    n, m = rng.poisson(jobs * scope, HOURS), rng.poisson(jobs * (1 - scope), HOURS)
    k, j = rng.binomial(n, p_new), rng.binomial(m, p_old)
    columns = zip(n.tolist(), k.tolist(), m.tolist(), j.tolist(), strict=True)
    return [Counts(*column) for column in columns]


def cycle_hours(
    rng: np.random.Generator, scope: float, step: StepMargin, slower: tuple[float, float]
) -> tuple[list[Counts], list[Counts]]:
    """Draw a week of slow jobs at the median and at the tail, thresholds drawn anew each day.

    `slower` says by how much the concurrent jobs are slower at either threshold.
    """
    medians: list[Counts] = []
    tails: list[Counts] = []
    jobs = JOBS_A_DAY * 3600 / DAY_S
    legacy_jobs = round(JOBS_A_DAY * (1 - scope))
    for _ in range(7):
        rates = []
        for level, shift, ratio in (
            (0.5, step.median_shift, slower[0]),
            (0.95, step.tail_shift, slower[1]),
        ):
            rank = int(np.ceil(level * legacy_jobs))
            drawn = rng.beta(rank, legacy_jobs - rank + 1)
            seconds = lognormal_quantile(np.asarray(drawn))
            edge = GROWTH ** np.ceil(np.log(seconds * 1000) / np.log(GROWTH)) / 1000
            beyond = (lognormal(edge * GROWTH**shift / ratio), lognormal(edge))
            rates.append([float(share) for share in beyond])
        (p50_new, p50_old), (p95_new, p95_old) = rates
        n, m = rng.poisson(jobs * scope, 24), rng.poisson(jobs * (1 - scope), 24)
        k50, j50 = rng.binomial(n, p50_new), rng.binomial(m, p50_old)
        # A job beyond the tail is one of those beyond the median.
        k95, j95 = (
            rng.binomial(k50, min(1.0, p95_new / p50_new)),
            rng.binomial(j50, p95_old / p50_old),
        )
        for hour in range(24):
            medians.append(Counts(int(n[hour]), int(k50[hour]), int(m[hour]), int(j50[hour])))
            tails.append(Counts(int(n[hour]), int(k95[hour]), int(m[hour]), int(j95[hour])))
    return medians, tails


def passes(hours: list[Counts], margin: Margin) -> bool:
    """Say whether the totals of these hours pass, with phi taken from them."""
    total = sum(hours[1:], hours[0])
    z = score(total, margin, overdispersion(hours))
    return z is not None and z <= Z_LIMIT


def power_row(pilots: int) -> Row:
    """Simulate P1: equal paths at 1 %, first week."""
    rng = np.random.default_rng(21)
    step = margin_for(100)
    error = cycle = 0
    for _ in range(pilots):
        error += passes(hours_of(rng, 0.01, RATE, RATE), step.error)
        medians, tails = cycle_hours(rng, 0.01, step, (NOTHING_SHIFTED, NOTHING_SHIFTED))
        cycle += passes(medians, Margin()) and passes(tails, Margin())
    seen = {"error %": 100 * error / pilots, "cycle %": 100 * cycle / pilots}
    ok = seen["error %"] >= 98 and 86 <= seen["cycle %"] <= 93
    text = f"promote, equal paths, 1 %, week 1, {pilots} pilots"
    return Row("P1", text, seen, "error >= 98 %, cycle 86-93 %", ok)


def false_row(pilots: int) -> Row:
    """Simulate P2: a path exactly on the ladder's margin, four weekly looks."""
    rng = np.random.default_rng(22)
    seen = {}
    for scope_bp in (100, 800, 5000):
        scope, step = scope_bp / 10_000, margin_for(scope_bp)
        edge = step.error.limit(RATE)
        at_edge = (GROWTH**step.median_shift, GROWTH**step.tail_shift)
        passed = dict.fromkeys(("error", "p50", "p95"), 0)
        for _ in range(pilots):
            errors: list[Counts] = []
            medians: list[Counts] = []
            tails: list[Counts] = []
            by_look = []
            for _ in range(LOOKS_MAX):
                errors += hours_of(rng, scope, edge, RATE)
                week = cycle_hours(rng, scope, step, at_edge)
                medians += week[0]
                tails += week[1]
                by_look.append(
                    (passes(errors, step.error), passes(medians, Margin()), passes(tails, Margin()))
                )
            for column, metric in enumerate(passed):
                passed[metric] += any(look[column] for look in by_look)
        for metric, count in passed.items():
            seen[f"{metric} {100 * scope:g} %"] = 100 * count / pilots
    text = f"false promote at the ladder margin, 4 looks, % of {pilots} pilots"
    return Row("P2", text, seen, "<= 5 %", max(seen.values()) <= 5.0)


def hold_row() -> Row:
    """Check P3: each missing condition alone holds a step that would otherwise be promoted."""
    fine = {name: Finding(name, Verdict.PASS, -3.0, -2.2, 7000, 7000, 0.01, "") for name in PROOFS}
    split = sample_ratio.finding(7000, 693_000, 0.01)
    harm = {"error_rate": 0.1}
    five = recovery_finding([DrillPair(1.0, 2.0, 60.0)] * 5, 1.5)
    none = recovery_finding([], 1.5)
    ask = partial(decide, needed=PROOFS)
    cases = {
        "all fine": ask(7, 1, fine, harm, split),
        "no drills": ask(7, 1, {**fine, "recovery": none}, harm, split),
        "5 pairs": ask(7, 1, {**fine, "recovery": five}, harm, split),
        "broken sample ratio": ask(
            7, 1, fine, harm, sample_ratio.finding(9000, 691_000, 0.01), needed=PROOFS
        ),
        "6 days": ask(6, 1, fine, harm, split),
        "harm at 20": ask(7, 1, fine, {"error_rate": 20.0}, split),
        "fifth look": ask(7, 5, fine, harm, split),
    }
    seen = {name: float(answer.promote) for name, answer in cases.items()}
    ok = seen.pop("all fine") == 1.0 and not any(seen.values())
    text = "no drills, under 6 pairs, broken sample ratio, under 7 days: promoted?"
    return Row("P3", text, seen, "always hold (0), while all fine promotes", ok)
