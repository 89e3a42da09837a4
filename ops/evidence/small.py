"""F7, D8 to D10: the revert tests at 100 and 1,000 jobs a day, and on jobs of half an hour."""

from __future__ import annotations

from datetime import timedelta
from math import inf

import numpy as np

from ops.evidence.pilots import DAYS, exposed, middle, reverts
from ops.evidence.rehearsals import START
from ops.evidence.row import Row
from ops.evidence.traffic import DAY_S, Failures, Outages
from ops.evidence.twin import Floats
from ops.evidence.watches import TwinErrors
from rollout.policy.policy import Policies
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.replay import Setting, replay
from rollout.rehearsal.stream_draw import Drawing, draw_stream

TICK_S = 600.0
SIZES = (100.0, 1000.0)


def false_row(pilots: int) -> Row:
    """Simulate F7: healthy small pilots, calm and with four common outages of six hours."""
    seen: dict[str, float] = {}
    for jobs in SIZES:
        for scope in (0.5, 0.9):
            for hours in (0, 6):
                rng = np.random.default_rng([27, round(jobs), round(1e4 * scope), hours])
                both = None
                if hours:
                    start_s = rng.uniform(0, (DAYS - 1) * DAY_S, (4, pilots))
                    both = Outages(start_s, hours * 3600.0, 1.0, 0.0, TICK_S)
                traffic = Failures(
                    rng, pilots, scope, TICK_S, (0.005, 0.005), both=both, jobs_a_day=jobs
                )
                case = f"{jobs:,.0f} a day, {100 * scope:g} %"
                case += f", outages of {hours} h" if hours else ""
                seen[case] = float(reverts(traffic, TwinErrors(pilots), TICK_S))
    ok = all(
        count <= (5 if "outages" in case else 4) * pilots / 1000 for case, count in seen.items()
    )
    text = f"equal at .5 %, 28 d, small traffic, {pilots} pilots"
    return Row("F7", text, seen, "<= 4 of 1000, with outages <= 5", ok)


def partial_row(pilots: int) -> Row:
    """Simulate D8: .5 -> 10 % of failures at small traffic, from the first job of a step."""
    seen: dict[str, float] = {}
    for jobs in SIZES:
        for scope in (0.125, 0.5):
            rng = np.random.default_rng([28, round(jobs), round(1e4 * scope)])
            traffic = Failures(rng, pilots, scope, TICK_S, (0.005, 0.005), 0.1, jobs_a_day=jobs)
            found: Floats = exposed(traffic, TwinErrors(pilots), TICK_S, rng, False, 28.0)
            seen[f"{jobs:,.0f} a day, {100 * scope:g} %"] = middle(found)
    ok = seen["100 a day, 50 %"] <= 260.0
    text = f"errors .5 -> 10 %, start, small traffic, median of {pilots} pilots"
    return Row("D8", text, seen, "100 a day at 50 %: <= 260 concurrent jobs", ok)


def found_row(pilots: int) -> Row:
    """Simulate D10: which failures are reverted at all within 28 days, in % of the pilots."""
    seen: dict[str, float] = {}
    for jobs, rates in ((100.0, (0.03, 0.05, 0.1)), (1000.0, (0.02, 0.03, 0.05))):
        for scope in (0.125, 0.5, 0.9):
            for rate in rates:
                rng = np.random.default_rng(
                    [30, round(jobs), round(1e4 * scope), round(1e4 * rate)]
                )
                traffic = Failures(
                    rng, pilots, scope, TICK_S, (0.005, 0.005), rate, jobs_a_day=jobs
                )
                found: Floats = exposed(traffic, TwinErrors(pilots), TICK_S, rng, False, 28.0)
                case = f"{jobs:,.0f} a day, {100 * scope:g} %, to {100 * rate:g} %"
                seen[case] = round(100 * float(np.isfinite(found).mean()), 1)
    surely = [
        seen[case]
        for case in seen
        if case.endswith("to 10 %") or (case.startswith("1,000") and case.endswith("to 3 %"))
    ]
    text = f"errors of .5 % rise, start, small traffic, reverted within 28 d, % of {pilots} pilots"
    accepted = ">= 99 %: to 10 % at 100 a day, to 3 % at 1,000 a day"
    return Row("D10", text, seen, accepted, all(share >= 99.0 for share in surely))


def long_row(seeds: int) -> Row:
    """Play D9: jobs with a median of half an hour that all fail at their end, 1,000 a day."""
    found, days = [], 7.0
    for seed in range(1, seeds + 1):
        begin = START - timedelta(days=3)
        stream = draw_stream("pilot", Drawing(1000, 0.005, 1800.0, 0.5, seed), begin, days + 3)
        end = START + timedelta(days=days)
        played = replay(Setting(stream, START, end, Injection(0.0, errors=1.0)), Policies())
        reverted = played.done.reverted_at is not None and played.exposed is not None
        found.append(float(played.exposed.seen) if reverted and played.exposed else inf)
    seen = {"median": float(np.median(found)), "worst": max(found)}
    text = f"jobs of 30 min that all fail at their end, 1,000 a day, concurrent jobs, {seeds} seeds"
    return Row("D9", text, seen, "all are reverted, median <= 20", seen["median"] <= 20.0)
