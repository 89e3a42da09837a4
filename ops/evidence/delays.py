"""D rows: how many concurrent jobs a fault reaches before the revert."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.evidence.cycles import (
    Cycles,
    Survival,
    lognormal,
    lognormal_quantile,
    slow_tenth,
    stretched,
)
from ops.evidence.pilots import exposed, middle
from ops.evidence.row import Row, about, within
from ops.evidence.traffic import Failures
from ops.evidence.twin import Floats
from ops.evidence.watches import TwinCycle, TwinErrors

TICK_S = 10.0
THREE = (0.01, 0.08, 0.50)
FOUR = (*THREE, 0.95)


def name(scope: float) -> str:
    """Name a scope like `8 %`."""
    return f"{100 * scope:g} %"


def errors(
    seed: int, pilots: int, scope: float, rates: tuple[float, float], mid: bool, tick_s: float
) -> Floats:
    """Give the exposed jobs when the failure rate goes from the first rate to the second."""
    rng = np.random.default_rng([seed, round(scope * 10_000)])
    healthy, fault = rates
    traffic = Failures(rng, pilots, scope, tick_s, (healthy, healthy), fault)
    return exposed(traffic, TwinErrors(pilots), tick_s, rng, mid)


def cycles(seed: int, pilots: int, scope: float, fault: Survival) -> Floats:
    """Give the exposed jobs when cycle times change to those of `fault`."""
    rng = np.random.default_rng([seed, round(scope * 10_000)])
    legacy = (lognormal, lognormal_quantile)
    traffic = Cycles(rng, pilots, scope, TICK_S, legacy, lognormal, fault)
    return exposed(traffic, TwinCycle(pilots), TICK_S, rng, mid=True)


def total_row(row_id: str, mid: bool, pilots: int, scopes: Sequence[float] = FOUR) -> Row:
    """Simulate D1 or D2: every concurrent job fails."""
    median_max, late_max = (
        ((7, 12, 23, 125), (9, 15, 35, 250))
        if mid
        else (
            (5, 7, 17, 125),
            (7, 10, 27, 240),
        )
    )
    seen, ok = {}, True
    for scope in scopes:
        place = FOUR.index(scope)
        jobs = errors(11 + mid, pilots, scope, (0.005, 1.0), mid, TICK_S)
        late = float(np.quantile(jobs, 0.95))
        seen[f"{name(scope)} median"], seen[f"{name(scope)} p95"] = middle(jobs), late
        ok = ok and middle(jobs) <= median_max[place] and late <= late_max[place]
    text = f"all jobs fail, {'mid' if mid else 'start'}, looks 10 s, {pilots} pilots"
    accepted = f"median <= {list(median_max)}, p95 <= {list(late_max)}"
    return Row(row_id, text, seen, accepted, ok)


def partial_rows(pilots: int) -> list[Row]:
    """Simulate D3 to D5: part of the concurrent jobs fail."""
    cases = (
        (
            "D3",
            "errors .1 -> 20 %",
            (0.001, 0.2),
            10.0,
            [(22.0, 31.0), (37.0, 51.0), (118.0, 160.0)],
        ),
        ("D4", "errors .5 -> 5 %", (0.005, 0.05), 10.0, about((232, 331, 908))),
        ("D5", "errors .5 -> 1 %", (0.005, 0.01), 60.0, about((9100, 12_300, 27_100))),
    )
    rows = []
    for seed, (row_id, text, rates, tick_s, ranges) in enumerate(cases, start=13):
        seen = {}
        for scope in THREE:
            seen[name(scope)] = middle(errors(seed, pilots, scope, rates, True, tick_s))
        text = f"{text}, mid, looks {tick_s:g} s, median of {pilots} pilots"
        accepted = "/".join(f"{low:.0f}-{high:.0f}" for low, high in ranges)
        rows.append(Row(row_id, text, seen, accepted, within(seen, ranges)))
    return rows


def cycle_rows(pilots: int) -> list[Row]:
    """Simulate D6 and D7: slower jobs, and slower slow jobs."""
    seen = {}
    for ratio in (1.25, 2.0):
        for scope in THREE:
            jobs = cycles(16, pilots, scope, stretched(lognormal, ratio))
            seen[f"x{ratio:g} {name(scope)}"] = middle(jobs)
    ranges = about((1182, 1691, 2993, 123, 154, 342))
    tenth = {name(scope): middle(cycles(17, pilots, scope, slow_tenth)) for scope in THREE}
    text = f"mid, looks 10 s, median of {pilots} pilots"
    return [
        Row(
            "D6",
            f"cycle x1.25 and x2, lognormal, {text}",
            seen,
            "1182/1691/2993; 123/154/342 +-15 %",
            within(seen, ranges),
        ),
        Row(
            "D7",
            f"slowest tenth twice as slow, {text}",
            tenth,
            "700/863/1895 +-15 %",
            within(tenth, about((700, 863, 1895))),
        ),
    ]
