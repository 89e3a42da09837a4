"""F rows: how many healthy pilots are reverted in 28 days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.evidence.cycles import (
    Cycles,
    Survival,
    lognormal,
    lognormal_quantile,
    pareto,
    pareto_quantile,
    stretched,
)
from ops.evidence.pilots import DAYS, per_scope, reverts
from ops.evidence.row import Row, within
from ops.evidence.traffic import DAY_S, Failures, Outages
from ops.evidence.watches import TwinCycle, TwinErrors
from rollout.evidence.buckets import GROWTH
from rollout.evidence.error_rate import REVERT_MARGIN
from rollout.evidence.thresholds import REVERT_SHIFT

RATE = 0.005
TICK_S = 60.0
LOW_MID_HIGH = (0.01, 0.50, 0.95)
FIVE = (0.01, 0.08, 0.50, 0.95, 0.98)


def errors(
    seed: int,
    pilots: int,
    scope: float,
    rates: tuple[float, float] = (RATE, RATE),
    outage: tuple[float, float, float] | None = None,
    days: float = DAYS,
) -> int:
    """Count false reverts on failures; `outage` is (length_s, rate, daily swing)."""
    rng = np.random.default_rng([seed, round(scope * 10_000)])
    both = None
    if outage is not None:
        length_s, rate, swing = outage
        start_s = rng.uniform(0, days * DAY_S - length_s, (4, pilots))
        both = Outages(start_s, length_s, rate, swing, TICK_S)
    traffic = Failures(rng, pilots, scope, TICK_S, rates, both=both)
    return reverts(traffic, TwinErrors(pilots), TICK_S, days)


def cycles(
    seed: int,
    pilots: int,
    scope: float,
    legacy: tuple[Survival, Survival],
    slower: float,
    days: float = DAYS,
) -> int:
    """Count false reverts on cycle time when concurrent jobs take `slower` times as long."""
    rng = np.random.default_rng([seed, round(scope * 10_000)])

    path = stretched(legacy[0], slower)
    traffic = Cycles(rng, pilots, scope, TICK_S, legacy, path, path)
    return reverts(traffic, TwinCycle(pilots), TICK_S, days)


def error_rows(pilots: int, scopes: Sequence[float] = LOW_MID_HIGH) -> list[Row]:
    """Simulate F1, on equal paths, and F2, exactly on the revert margin."""
    margin = (REVERT_MARGIN.limit(RATE), RATE)
    equal = per_scope(scopes, lambda scope: errors(1, pilots, scope))
    edge = per_scope(scopes, lambda scope: errors(2, pilots, scope, margin))
    text = f"28 d, looks 1 min, {pilots} pilots a scope"
    few, some = 4 * pilots / 1000, 9 * pilots / 1000
    return [
        Row("F1", f"equal at .5 %, {text}", equal, "<= 4 of 1000", max(equal.values()) <= few),
        Row(
            "F2", f"on the revert margin, {text}", edge, "<= 9 of 1000", max(edge.values()) <= some
        ),
    ]


def outage_rows(pilots: int) -> list[Row]:
    """Simulate F3 to F5: common outages of both paths."""
    cases = (
        ("F3", "four 20-min total outages of both paths", FIVE, (1200.0, 1.0, 0.0), 5),
        ("F4", "the same at 30 % failures", FIVE, (1200.0, 0.3, 0.0), 15),
        (
            "F5",
            "traffic and failures +-80 % over the day, four 30-min outages at 30 %",
            LOW_MID_HIGH,
            (1800.0, 0.3, 0.8),
            5,
        ),
    )
    rows = []
    for number, (name, text, scopes, outage, most) in enumerate(cases, start=3):
        seen = {}
        for scope in scopes:
            seen[f"{100 * scope:g} %"] = float(errors(number, pilots, scope, outage=outage))
        most_here = most * pilots / 1000
        ok = within(seen, [(0, most_here)] * len(seen))
        rows.append(Row(name, f"{text}, {pilots} pilots", seen, f"<= {most} of 1000", ok))
    return rows


def cycle_rows(pilots: int) -> list[Row]:
    """Simulate F6: cycle times equal, and slower by exactly the revert margin."""
    seen, ok = {}, True
    margin = GROWTH**REVERT_SHIFT
    tails = (
        ("lognormal", (lognormal, lognormal_quantile)),
        ("Pareto", (pareto, pareto_quantile)),
    )
    for name, legacy in tails:
        for place, slower, most in (("equal", 1.0, 4), ("on the margin", margin, 9)):
            for scope in LOW_MID_HIGH:
                count = cycles(6, pilots, scope, legacy, slower)
                seen[f"{name} {place} {100 * scope:g} %"] = float(count)
                ok = ok and count <= most * pilots / 1000
    text = f"cycle time equal and on the margin, 28 d, looks 1 min, {pilots} pilots"
    return [Row("F6", text, seen, "equal <= 4, on the margin <= 9 of 1000", ok)]
