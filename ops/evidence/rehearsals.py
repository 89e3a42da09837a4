"""R rows: whole pilots through the controller's own judgement, calendars, drills and way back in.

What M4 to M13 simulate by arithmetic is played here as `rollout simulate` plays it. A real pilot
takes a little longer than the arithmetic says: looks that fall on a Friday afternoon wait for
Saturday, and the hourly spread of failures is measured and not known.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np
import structlog

from ops.evidence.row import Row
from rollout.policy.plan import plan_for
from rollout.policy.policy import Policies, Policy
from rollout.policy.way import Baseline
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.replay import Replayed, Setting, replay
from rollout.rehearsal.stream_draw import Drawing, draw_drills, draw_stream
from rollout.routing.stages import HOLDBACK_BP, Stage

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
WARMUP_DAYS = 8.0
DAY_S = 86_400.0
RATE = 0.005
TWICE = Injection(0.0, errors=2 * RATE)
ALL_FAIL = Injection(10.0, errors=1.0)


def play(
    jobs_a_day: float, seed: int, injection: Injection | None = None, days: float = 84.0
) -> Replayed:
    """Play one pilot at the default policy, with six drill pairs a week."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begin = START - timedelta(days=WARMUP_DAYS)
    drawing = Drawing(jobs_a_day, RATE, 2.0, 1.0, seed)
    stream = draw_stream("pilot", drawing, begin, days + WARMUP_DAYS)
    drills = draw_drills("pilot", 6, 0.8, START, days, DAY_S, seed)
    end = START + timedelta(days=days)
    return replay(Setting(stream, START, end, injection, drills), Policies())


def graduated_on(played: Replayed) -> float:
    """The day of graduation; infinite without one."""
    changes = played.done.changes
    at = next((one.at for one in changes if one.after.stage is Stage.GRADUATED), None)
    return inf if at is None else (at - START) / timedelta(days=1)


def thousand_row(seeds: int) -> Row:
    """Play R1: 1,000 jobs a day, paths alike, and one that fails twice as often."""
    equal = np.array([graduated_on(play(1000, seed)) for seed in range(1, seeds + 1)])
    twice = np.array([graduated_on(play(1000, seed, TWICE)) for seed in range(1, seeds + 1)])
    planned = plan_for(Policy(), Baseline(7000.0, RATE), HOLDBACK_BP).length.days_half
    seen = {
        "equal within 63 d %": 100 * float(np.mean(equal <= 63.0)),
        "equal median d": float(np.median(equal)),
        "planned median d": planned or inf,
        "twice as often %": 100 * float(np.mean(np.isfinite(twice))),
    }
    ok = seen["equal within 63 d %"] >= 90.0 and seen["twice as often %"] == 0.0
    text = f"1,000 a day through the judgement, 84 d, {seeds} seeds: graduated"
    return Row("R1", text, seen, "equal >= 90 % within 63 d, twice 0 %", ok)


def sizes_row(seeds: int, sizes: tuple[float, ...] = (100, 300, 10_000, 100_000)) -> Row:
    """Play R2: pilots of other sizes, alike and with a total failure on day ten."""
    seen: dict[str, float] = {}
    ok = True
    for jobs in sizes:
        days = 84.0 if jobs < 50_000 else 60.0
        many = seeds if jobs < 5_000 else 1
        found = [graduated_on(play(jobs, seed, None, days)) for seed in range(1, many + 1)]
        planned = plan_for(Policy(), Baseline(7 * jobs, RATE), HOLDBACK_BP).length
        harmed = [play(jobs, seed, ALL_FAIL, 20.0) for seed in range(1, many + 1)]
        exposed = [one.exposed.failed if one.exposed else inf for one in harmed]
        reverted = [one.done.reverted_at is not None for one in harmed]
        name = f"{jobs:,.0f} a day"
        seen[f"{name} median d"] = float(np.median(found))
        seen[f"{name} planned d"] = planned.days_half or inf
        seen[f"{name} all fail, failed"] = float(np.median(exposed))
        ok = ok and all(reverted) and float(np.mean(np.isfinite(found))) >= 0.75
    text = f"other sizes through the judgement, {seeds} seeds (one from 10,000 on)"
    return Row("R2", text, seen, "75 % graduate, every total failure is reverted", ok)
