"""R3: ten pipelines of 100 jobs a day, a cohort that shares one budget."""

from __future__ import annotations

import logging
from datetime import timedelta
from math import inf

import numpy as np
import structlog

from ops.evidence.fleet import Climb, climb_together
from ops.evidence.rehearsals import DAY_S, RATE, START, WARMUP_DAYS
from ops.evidence.row import Row
from rollout.policy.policy import Cohort, Policies
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.stream_draw import Drawing, draw_drills, draw_stream
from rollout.rehearsal.stream_ledger import StreamLedger

MEMBERS = tuple(f"mail-{number}" for number in range(1, 11))
JOBS_A_DAY = 100.0
DAYS = 196.0


def play_cohort(
    seed: int,
    harm: Injection | None = None,
    harmed: tuple[str, ...] = (),
    members: tuple[str, ...] = MEMBERS,
    days: float = DAYS,
    tick: timedelta = timedelta(hours=3),
) -> Climb:
    """Play a cohort at the default policy, six drill pairs a week for each member.

    Args:
        seed: Draws the jobs.
        harm: What is wrong with the concurrent path of some members, from their first job.
        harmed: Which.
        members: All of them, in the order in which they enter.
        days: How long it is watched.
        tick: Between two turns of the judgement; looks fall due at hours of the day.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    begin, ledgers, drills = START - timedelta(days=WARMUP_DAYS), {}, []
    for number, name in enumerate(members):
        drawn = Drawing(JOBS_A_DAY, RATE, 2.0, 1.0, 100 * seed + number)
        stream = draw_stream(name, drawn, begin, days + WARMUP_DAYS)
        if harm is not None and name in harmed:
            stream = harm.into(stream, begin)
        ledgers[name] = StreamLedger(stream, wider=timedelta(hours=1))
        drills += draw_drills(name, 6, 0.8, START, days, DAY_S, 100 * seed + number)
    policies = Policies(cohorts=(Cohort(name="mails", members=members),))
    return climb_together(ledgers, policies, drills, START, days, tick)


def cohort_row(seeds: int) -> Row:
    """Play R3: all alike, and with one member whose concurrent path fails every job."""
    alike = [play_cohort(seed) for seed in range(1, seeds + 1)]
    broken = play_cohort(1, Injection(0.0, errors=1.0), MEMBERS[4:5])
    last = [max(one.graduated.values()) if len(one.graduated) == 10 else inf for one in alike]
    seen = {
        "graduated of 10": float(np.mean([len(one.graduated) for one in alike])),
        "reverted": float(sum(len(one.reverted) for one in alike)),
        "first, median d": float(np.median([one.graduated.get(MEMBERS[0], inf) for one in alike])),
        "all ten, median d": float(np.median(last)),
        "one fails all: reverted": float(list(broken.reverted) == [MEMBERS[4]]),
    }
    ok = (
        seen["graduated of 10"] >= 9.0
        and seen["reverted"] <= 1.0
        and seen["all ten, median d"] <= DAYS
        and seen["one fails all: reverted"] == 1.0
    )
    text = f"a cohort of ten pipelines of 100 a day, one budget, {seeds} seeds"
    said = "9 of 10 graduate within 28 weeks, <= 1 reverted; a broken one is, alone"
    return Row("R3", text, seen, said, ok)
