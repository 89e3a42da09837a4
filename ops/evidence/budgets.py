"""M rows: promotion by harm budget, from the formulas to whole pilots."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np

from ops.evidence.climbs import GRADUATED_BP, LADDER_BP, Climbed, Pilot, climb
from ops.evidence.crossing import crossing, limit_for
from ops.evidence.row import Row
from ops.evidence.scores import scores
from ops.evidence.twin import Floats
from rollout.evidence.betting import Margin
from rollout.evidence.counts import Counts
from rollout.evidence.harm_budget import SCORE_LIMIT, automatic, budget_for, margin
from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.evidence.pair_wealth import PROVEN_AT, RECOVERY_RATIO, proven_at, wealth
from rollout.evidence.promotion import overdispersion, score
from rollout.evidence.step_odds import Margins, odds
from rollout.policy.way import steps_for

VECTORS = Path(__file__).parents[2] / "tests" / "evidence" / "budget_vectors.json"
WEEKLY = (700.0, 2_100.0, 7_000.0, 70_000.0, 700_000.0)
RATES = (0.0, 0.0005, 0.005, 0.05, 0.5)


def vectors_row() -> Row:
    """Check M1: the deterministic vectors."""
    known = json.loads(VECTORS.read_text())
    far = [
        abs(automatic(one["q"], one["jobs_a_week"]) / one["budget"] - 1) for one in known["budget"]
    ]
    for one in known["margin"]:
        found = margin(one["budget"], one["jobs_a_week"], one["scope_next"]).absolute
        far.append(abs(found / one["margin"] - 1))
    for one in known["z_step"]:
        counted = Counts(one["n_concurrent"], one["k_concurrent"], one["n_legacy"], one["k_legacy"])
        far.append(
            abs((score(counted, Margin(1.0, one["margin"]), one["phi"]) or 0) / one["z"] - 1)
        )
    for one in known["pair_e"]:
        for pairs, expected in one["e_after"].items():
            came = wealth(one["ratios"][: int(pairs)], one["limit_ratio"], one["scales"])
            far.append(abs(came / expected - 1))
    grid = max(
        abs(crossing(one["limit"], one["looks"]) - one["chance"]) for one in known["crossing"]
    )
    seen = {"vectors": float(len(far)), "farthest": max(far), "on a grid": grid}
    ok = max(far) <= 1e-9 and grid <= 1e-5
    return Row("M1", "deterministic vectors", seen, "1e-9, on a grid 1e-5", ok)


def limit_row() -> Row:
    """Compute M2: the exact limits."""
    seen = {"15 looks": limit_for(0.05, 15), "4 looks": limit_for(0.05, 4)}
    ok = abs(seen["15 looks"] + 2.3036) <= 5e-4 and abs(seen["4 looks"] + 2.0197) <= 5e-4
    return Row("M2", "exact limit at alpha .05", seen, "-2.3036, -2.0197 +-.0005", ok)


def cells() -> Iterator[tuple[float, float, float, float]]:
    """Every (jobs a week, rate, share, points) of the ladders of five traffics at five rates."""
    for jobs in WEEKLY:
        for rate in RATES:
            budget = automatic(rate, jobs)
            way = (*steps_for(LADDER_BP, jobs, budget, shadowed=False), GRADUATED_BP)
            for here, after in pairwise(way[:-1]):
                yield jobs, rate, here / 1e4, margin(budget, jobs, after / 1e4).absolute


def margin_row(pilots: int) -> Row:
    """Simulate M3: a path exactly on the margin, all looks."""
    rng = np.random.default_rng(203)
    passed = []
    for jobs, rate, share, points in cells():
        totals, through = np.zeros((4, pilots)), np.zeros(pilots, dtype=np.bool_)
        for look in range(1, LOOKS_MAX + 1):
            part = 1.0 if look == 1 else look_day(look, 1.0) - look_day(look - 1, 1.0)
            n = rng.poisson(jobs * share * part, pilots)
            m = rng.poisson(jobs * (1 - share) * part, pilots)
            totals += [n, rng.binomial(n, min(1.0, rate + points)), m, rng.binomial(m, rate)]
            through |= scores(totals[1], totals[0], totals[3], totals[2], points) <= SCORE_LIMIT
        passed.append(100 * float(through.mean()))
    seen = {"cells": float(len(passed)), "mean %": float(np.mean(passed)), "max %": max(passed)}
    ok = seen["mean %"] <= 4.5 and seen["max %"] <= 6.0
    text = f"false promotion on the margin, {pilots} pilots a cell"
    return Row("M3", text, seen, "mean <= 4.5 %, cell <= 6 %", ok)


def by(days: Floats, share: float) -> float:
    """The day by which a share of pilots was through; infinite when that never came."""
    return float(np.quantile(days, share, method="inverted_cdf"))


def days_row(row_id: str, pilots: int, *, shadow: bool) -> Row:
    """Simulate M4 or M5: equal paths at 1,000 jobs a day."""
    done = climb(Pilot(1000, shadow=shadow), pilots, 204 + shadow)
    seen = {"median d": by(done.graduated, 0.5), "90 % d": by(done.graduated, 0.9)}
    limits = (53, 63) if shadow else (56, 70)
    ok = seen["median d"] <= limits[0] and seen["90 % d"] <= limits[1]
    text = f"equal, {'with' if shadow else 'no'} shadow, 1,000 a day, .5 % fail, {pilots} pilots"
    return Row(row_id, text, seen, f"<= {limits[0]}/{limits[1]} d", ok)


def sizes_row(pilots: int) -> Row:
    """Simulate M6: equal paths of every size, by the promotions alone."""
    medians, nines, persons = [], [], []
    for jobs in (700.0, 2_100.0, 7_000.0, 70_000.0, 700_000.0, 7_000_000.0):
        for rate in (0.0, 0.005, 0.05):
            days = np.zeros(pilots)
            budget = budget_for(rate, jobs)
            way = (*steps_for(LADDER_BP, jobs, budget.failed, shadowed=False), GRADUATED_BP)
            for number, (here, after) in enumerate(pairwise(way)):
                points = Margins(
                    *(
                        margin(one, jobs, after / 1e4).absolute
                        for one in (budget.failed, budget.late, budget.slow)
                    )
                )
                last = after == GRADUATED_BP
                (drawn,) = odds(
                    jobs, here / 1e4, rate, [points], last=last, pilots=pilots, seed=206 + number
                )
                days += drawn.days
            medians.append(by(days, 0.5))
            nines.append(by(days, 0.9))
            persons.append(100 * float(np.mean(np.isinf(days))))
    seen = {"median d": max(medians), "90 % d": max(nines), "person %": max(persons)}
    ok = seen["median d"] <= 63 and seen["90 % d"] <= 80 and seen["person %"] <= 1.0
    text = f"equal, 100 to 1,000,000 a day, 0/.5/5 % fail, the slowest, {pilots} pilots each"
    return Row("M6", text, seen, "<= 63/80 d, person <= 1 %", ok)


def healthy_row(pilots: int) -> Row:
    """Simulate M7: equal paths for 84 days, climbing; how many are reverted."""
    seen, ok = {}, True
    for jobs, many, most in ((100, pilots, 5), (1000, pilots, 5), (10_000, pilots // 2, 3)):
        done = climb(Pilot(jobs, tick_s=600.0), many, 207 + jobs)
        seen[f"{jobs:,} a day"] = float(np.isfinite(done.reverted).sum())
        ok = ok and seen[f"{jobs:,} a day"] <= most * many / (500 if most == 5 else 250)
    text = f"equal, reverted on the way, of {pilots}, {pilots}, {pilots // 2}"
    return Row("M7", text, seen, "<= 5/500, 5/500, 3/250", ok)


def harmed_rows(pilots: int) -> list[Row]:
    """Simulate M8 to M13: harm of every kind at 1,000 jobs a day."""
    return [
        _harm("M8", "all fail", _always(1.0), None, pilots, extra=(7, 10), tick_s=300.0),
        _harm(
            "M9", "+5 points", _always(0.055), None, pilots, first=0.12, graduated=0, extra=(10, 22)
        ),
        _harm("M10", "x2 failures", _always(0.01), None, pilots, graduated=0.03, extra=(70, 160)),
        _harm("M11", "25 % slower", None, _always(1.25), pilots, graduated=0.01, late=(30, 60)),
        _harm(
            "M12",
            "slower by .5 x scope",
            None,
            lambda share: 1 + 0.5 * share,
            pilots,
            graduated=0.02,
            late=(110, 175),
        ),
        _harm(
            "M13",
            "+2 points only at the last step",
            lambda share: np.where(share >= 0.9, 0.025, 0.005),
            None,
            pilots,
            graduated=0.03,
        ),
    ]


def _always(value: float) -> Callable[[Floats], Floats]:
    return lambda share: np.full(share.size, value)


def _harm(
    row_id: str,
    text: str,
    fault: Callable[[Floats], Floats] | None,
    slower: Callable[[Floats], Floats] | None,
    pilots: int,
    *,
    first: float = inf,
    graduated: float = 0.0,
    extra: tuple[float, float] = (inf, inf),
    late: tuple[float, float] = (inf, inf),
    tick_s: float = 900.0,
) -> Row:
    pilot = Pilot(1000, fault=fault, slower=slower, tick_s=tick_s)
    done: Climbed = climb(pilot, pilots, 208)
    seen = {
        "past step 1": float(done.past_first.mean()),
        "graduated": float(np.isfinite(done.graduated).mean()),
        "failed median": float(np.median(done.extra_failed)),
        "failed p95": float(np.quantile(done.extra_failed, 0.95)),
        "late median": float(np.median(done.extra_late)),
        "late p95": float(np.quantile(done.extra_late, 0.95)),
    }
    limits = {
        "past step 1": first,
        "graduated": graduated,
        "failed median": extra[0],
        "failed p95": extra[1],
        "late median": late[0],
        "late p95": late[1],
    }
    ok = all(seen[name] <= limit for name, limit in limits.items())
    said = ", ".join(f"{name} <= {limit:g}" for name, limit in limits.items() if limit < inf)
    return Row(row_id, f"{text}, 1,000 a day, {pilots} pilots", seen, said, ok)


BAD_HOURS = 0.05
WORSE = 8.0
"""In one hour of twenty a path fails eight times as often, each path in hours of its own."""


def bursts_row(pilots: int) -> Row:
    """Simulate M14: failures in bursts, a path on the margin, phi measured."""
    seen = {}
    for jobs, rate, here, after in (
        (7_000.0, 0.05, 0.5, 0.9),
        (70_000.0, 0.005, 0.125, 0.25),
        (70_000.0, 0.05, 0.5, 0.9),
        (700_000.0, 0.005, 0.5, 0.9),
    ):
        points = margin(automatic(rate, jobs), jobs, after).absolute
        rng = np.random.default_rng([214, round(jobs), round(1e4 * rate)])
        through = sum(_burst_passes(rng, jobs, rate, here, points) for _ in range(pilots))
        seen[f"{jobs:,.0f} a week, {100 * rate:g} % at {100 * here:g} %"] = 100 * through / pilots
    text = f"bursts, on the margin, phi measured, % of {pilots} pilots"
    return Row("M14", text, seen, "<= 5.5 %", max(seen.values()) <= 5.5)


def _burst_passes(
    rng: np.random.Generator, jobs: float, rate: float, share: float, points: float
) -> bool:
    hours = np.empty((0, 4), dtype=np.int64)
    for look in range(1, LOOKS_MAX + 1):
        count = round(168 * (1.0 if look == 1 else 0.5))
        bad = np.where(rng.random((2, count)) < BAD_HOURS, WORSE, 1.0)
        bad /= 1 + BAD_HOURS * (WORSE - 1)
        n, m = (rng.poisson(jobs / 168 * part, count) for part in (share, 1 - share))
        k = rng.binomial(n, np.minimum(1.0, (rate + points) * bad[0]))
        j = rng.binomial(m, np.minimum(1.0, rate * bad[1]))
        hours = np.concatenate([hours, np.stack([n, k, m, j], axis=1)])
        total = Counts(*hours.sum(axis=0).tolist())
        z = score(total, Margin(1.0, points))
        if z is None or z > SCORE_LIMIT:
            continue  # spread beyond chance can only take from it
        phi = overdispersion([Counts(*hour) for hour in hours.tolist()])
        z = score(total, Margin(1.0, points), phi)
        if z is not None and z <= SCORE_LIMIT:
            return True
    return False


def drills_row(pilots: int) -> Row:
    """Simulate M15: drill pairs, on twice legacy's time and alike."""
    rng = np.random.default_rng(215)
    seen = {}
    for sigma in (0.2, 0.3, 0.5, 1.0):
        ratios = RECOVERY_RATIO * np.exp(rng.normal(0.0, sigma, (pilots, 40)))
        seen[f"margin, sigma {sigma:g} %"] = _drilled(ratios)
    worst = max(seen.values())
    seen["equal, sigma .3 %"] = _drilled(np.exp(rng.normal(0.0, 0.3, (pilots, 13))))
    text = (
        f"drills, m = {RECOVERY_RATIO:g}, proven at {PROVEN_AT:g}: on it in 40 pairs, alike in 13"
    )
    ok = worst <= 5.0 and seen["equal, sigma .3 %"] >= 97.0
    return Row("M15", text, seen, "<= 5 %, >= 97 %", ok)


def _drilled(ratios: Floats) -> float:
    return 100 * sum(proven_at(one) is not None for one in ratios.tolist()) / len(ratios)
