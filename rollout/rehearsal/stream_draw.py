"""Draws jobs, seeded: arrivals by chance at a steady rate, lognormal cycle times, failures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from rollout.evidence.buckets import DURATION_S_MAX
from rollout.pilot.ports import Recovery
from rollout.rehearsal.job_stream import (
    SECOND_US,
    BadStream,
    JobStream,
    Whole,
    numbered_positions,
    us_of,
)
from rollout.routing.decision import JobPath

JOBS_MAX = 50_000_000
"""About 3 GB of columns; more is a typing slip."""

DAY_S = 86_400.0

DRILL_S = 60.0
"""Seconds in which legacy heals in a synthetic drill, about."""

DRILL_SIGMA = 0.1
"""Spread of their logarithm: drills of one fault resemble each other."""

DRILL_CAP_S = 600.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to draw; both paths are equal.

    Attributes:
        jobs_per_day: Mean number of jobs in 24 h.
        error_rate: Share of jobs that a path fails, drawn for each path by itself.
        cycle_median_s: Half of the jobs take longer.
        cycle_sigma: Spread of the logarithm of cycle times; 0 for none.
        seed: The same seed draws the same jobs.
    """

    jobs_per_day: float = 100_000.0
    error_rate: float = 0.005
    cycle_median_s: float = 2.0
    cycle_sigma: float = 1.0
    seed: int = 1


def draw_stream(name: str, drawing: Drawing, begin: datetime, days: float) -> JobStream:
    """Draw the jobs of some days.

    Raises:
        BadStream: No job, or more than fit into memory.
    """
    expected = drawing.jobs_per_day * days
    if not 1 <= expected <= JOBS_MAX:
        raise BadStream(
            f"a drawn stream must have 1..{JOBS_MAX} jobs, got {expected:.3g}",
            "change --jobs-per-day or --days",
        )
    rng = np.random.default_rng(drawing.seed)
    jobs = max(1, int(rng.poisson(expected)))
    offsets = np.sort(rng.integers(0, round(days * DAY_S * SECOND_US), jobs))
    return JobStream(
        name,
        us_of(begin) + offsets,
        numbered_positions(name, f"{drawing.seed}-", jobs),
        None,
        _durations(rng, drawing, jobs),
        _durations(rng, drawing, jobs),
        rng.random(jobs) < drawing.error_rate,
        rng.random(jobs) < drawing.error_rate,
    )


def draw_drills(
    name: str, per_week: float, ratio: float, start: datetime, days: float, day_s: float, seed: int
) -> list[Recovery]:
    """Draw drills: the same fault on both paths, evenly spread, the first at the start.

    Args:
        name: Sub-pipeline.
        per_week: Pairs in seven of the policy's days; 0 for none.
        ratio: Recovery time of the concurrent path over legacy's.
        start: When the trial starts.
        days: Policy days that it lasts.
        day_s: Seconds of such a day.
        seed: The same seed draws the same drills.

    Returns:
        Both halves of each pair, oldest first.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = []
    for number in range(int(np.ceil(per_week * days / 7))):
        onset = start + timedelta(seconds=number * 7 * day_s / per_week)
        for path, factor in ((JobPath.LEGACY, 1.0), (JobPath.CONCURRENT, ratio)):
            seconds = DRILL_S * factor * float(np.exp(DRILL_SIGMA * rng.standard_normal()))
            drawn.append(
                Recovery(
                    name,
                    onset + timedelta(seconds=seconds * day_s / DAY_S),
                    "drill",
                    path,
                    "synthetic",
                    onset,
                    seconds,
                    DRILL_CAP_S,
                    pair_id=f"synthetic-{number}",
                )
            )
    return sorted(drawn, key=lambda one: one.at)


def _durations(rng: np.random.Generator, drawing: Drawing, jobs: int) -> Whole:
    drawn = drawing.cycle_median_s * np.exp(drawing.cycle_sigma * rng.standard_normal(jobs))
    capped: Whole = np.rint(np.minimum(drawn, DURATION_S_MAX) * SECOND_US).astype(np.int64)
    return capped
