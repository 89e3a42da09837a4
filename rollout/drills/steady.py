"""Steady state: what is normal for both paths before a drill, and whether they are inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.drills.band import Band, band_from
from rollout.drills.drill import Drill
from rollout.drills.errors import DrillRefused
from rollout.drills.ports import DrillLedger
from rollout.evidence.sample import PathSample
from rollout.routing.decision import JobPath

RATE_HINT = "drills need traffic: wait, use longer windows, or fewer windows_with_jobs_min"


@dataclass(frozen=True, slots=True)
class Normal:
    """What is normal for one sub-pipeline: a band per path, and finished jobs per second."""

    bands: Mapping[JobPath, Band]
    rates: Mapping[JobPath, float]


Windows = list[Mapping[JobPath, PathSample]]


def windows_before(ledger: DrillLedger, drill: Drill, now: datetime, count: int) -> Windows:
    """The last windows up to now, oldest first.

    The age of open jobs is not known for the past, so only the last window has one.
    """
    step = timedelta(seconds=drill.window_s)
    found: Windows = []
    for back in range(count, 0, -1):
        found.append(ledger.window(drill.sub_pipeline, now - back * step, now - (back - 1) * step))
    return found


def learn(ledger: DrillLedger, drill: Drill, now: datetime) -> Normal:
    """Draw the bands from the windows before the drill.

    Raises:
        DrillRefused: There was too little traffic on a drilled path, or it is outside its band.
    """
    windows = windows_before(ledger, drill, now, drill.windows_before)
    bands: dict[JobPath, Band] = {}
    rates: dict[JobPath, float] = {}
    for path in JobPath:
        samples = [window[path] for window in windows]
        band = band_from(samples, drill.windows_with_jobs_min)
        if band is not None:
            bands[path] = band
        elif path in drill.paths:
            busy = sum(sample.jobs > 0 for sample in samples)
            raise DrillRefused(
                drill.sub_pipeline,
                f"{busy} of the last {drill.windows_before} windows of {drill.window_s:g} s had"
                f" jobs on {path}, {drill.windows_with_jobs_min} are needed to say what is normal",
                RATE_HINT,
            )
        rates[path] = sum(sample.jobs for sample in samples) / (len(windows) * drill.window_s)
    normal = Normal(bands, rates)
    must_be_steady(drill, normal, windows[-drill.windows_inside :])
    return normal


def must_be_steady(drill: Drill, normal: Normal, windows: Windows) -> None:
    """Raise DrillRefused when one of these windows is outside a path's band."""
    for path, band in normal.bands.items():
        for window in windows:
            why = band.why_outside(window[path])
            if why is not None:
                raise DrillRefused(
                    drill.sub_pipeline,
                    f"{path} is not in its steady state: {why}",
                    "let it come to rest first; a drill on a sick system measures the sickness",
                )


def reach(drill: Drill, normal: Normal, path: JobPath) -> int:
    """Jobs that the path carries while the fault is on: what a blast radius can be at the most."""
    return int(normal.rates[path] * drill.duration_s) + 1


def must_reach(drill: Drill, normal: Normal, path: JobPath) -> None:
    """Raise DrillRefused when the blast radius is larger than what the scope carries."""
    most = reach(drill, normal, path)
    if drill.blast_radius_jobs > most:
        raise DrillRefused(
            drill.sub_pipeline,
            f"its blast radius of {drill.blast_radius_jobs} jobs is larger than the scope, which"
            f" carries about {most} on {path} in {drill.duration_s:g} s",
            f"use blast_radius_jobs = {most} or less",
        )
