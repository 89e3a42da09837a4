"""Several captures of one system at different concurrency: what more workers bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from rollout.audit.job_log import JobLog, Phase
from rollout.audit.load import Runs, curve_of, runs_of

LAW_POINTS_MIN = 5
"""Two load points fit any law exactly, four let the contention term collapse to 0."""
SHARED_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Point:
    """One capture.

    Attributes:
        name: Its file.
        slots: Workers it had.
        wall_s: All of it, phases that are not compared included.
        execution_s: The part that is compared: from the first start to the last end, or a build's
            execution phase.
        work_s: Sum of all run times in it.
        critical_path_s: As the input states it, else None.
        waited_s: Of the work, waiting for a resource.
        resource: Which, mostly.
        cores: Cores that the machine had busy, as the input states it.
        at_once: Runs at once, on average.
        runs: How many.
        phases: Parts of the capture with a name.
    """

    name: str
    slots: int
    wall_s: float
    execution_s: float
    work_s: float
    critical_path_s: float | None
    waited_s: float
    resource: str
    cores: float | None
    runs: int
    phases: tuple[Phase, ...]

    @property
    def at_once(self) -> float:
        """Runs at once, on average."""
        return self.work_s / self.execution_s if self.execution_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The capture with the fewest workers against the one with the most.

    Attributes:
        few, many: Both.
        points: All captures, fewest workers first.
        shared: Runs that both have, by name.
        bought: How much shorter the execution became, as a share; negative is longer.
        longer: Sum of the run times of what both have, many over few.
        longer_each: The median of that ratio over the runs.
    """

    few: Point
    many: Point
    points: tuple[Point, ...]
    shared: int
    bought: float
    longer: float
    longer_each: float

    @property
    def times(self) -> float:
        """How many times the workers."""
        return self.many.slots / self.few.slots


def points_of(log: JobLog) -> list[Point]:
    """One point for each capture that holds runs."""
    by_capture: dict[int, list[int]] = {}
    for row in log.rows_with_run():
        by_capture.setdefault(log.capture[row], []).append(row)
    return [
        point_of(log, number, runs_of(log, rows)) for number, rows in sorted(by_capture.items())
    ]


def point_of(log: JobLog, number: int, runs: Runs) -> Point:
    """What one capture is as a load point."""
    capture = log.captures[number]
    execution = runs.span_s if len(runs) else 0.0
    if capture.span:
        execution = capture.span[1] - capture.span[0]
    wall = execution
    if capture.phases:
        wall = capture.phases[-1].ends - capture.phases[0].begins
    waited: dict[int, float] = {}
    for row in runs.rows:
        if log.waited[row] > 0:
            waited[log.resource[row]] = waited.get(log.resource[row], 0.0) + log.waited[row]
    resource = max(waited, key=waited.__getitem__, default=-1)
    slots = capture.slots or (curve_of(runs, [1.0] * len(runs)).top if len(runs) else 1)
    return Point(
        capture.name, max(1, slots), wall, execution, runs.work_s if len(runs) else 0.0,
        capture.critical_path_s, sum(waited.values()),
        log.resources.texts[resource] if resource >= 0 else "", capture.cores, len(runs),
        tuple(capture.phases),
    )  # fmt: skip


def compared(log: JobLog, points: Sequence[Point]) -> Comparison | None:
    """Compare captures that ran much the same at different concurrency; None when they did not.

    Logs of workers that ran beside each other are one system, whatever concurrency each had.
    """
    ordered = sorted(points, key=lambda one: one.slots)
    if len(ordered) < 2 or ordered[0].slots == ordered[-1].slots:
        return None
    few, many = ordered[0], ordered[-1]
    if _at_the_same_time(log, few.name, many.name):
        return None
    one, other = _by_name(log, few.name), _by_name(log, many.name)
    shared = [name for name in one if name in other]
    if len(shared) < SHARED_MIN * max(len(one), len(other)) or few.execution_s <= 0:
        return None
    few_s, many_s = _rate(few), _rate(many)
    if log.labels:
        longer = sum(other[name] for name in shared) / (sum(one[name] for name in shared) or 1.0)
    else:
        longer = (many.work_s / many.runs) / (few.work_s / few.runs)
    ratios = [other[name] / one[name] for name in shared if one[name] > 0]
    return Comparison(
        few, many, tuple(ordered), len(shared), 1 - many_s / few_s, longer,
        median(ratios) if ratios else 1.0,
    )  # fmt: skip


def _at_the_same_time(log: JobLog, one: str, other: str) -> bool:
    """Whether two captures whose times are dates overlap."""
    begins, finishes = {one: inf, other: inf}, {one: -inf, other: -inf}
    for row in log.rows_with_run():
        capture = log.captures[log.capture[row]]
        if not capture.clock:
            return False
        if capture.name in begins:
            begins[capture.name] = min(begins[capture.name], log.started[row])
            finishes[capture.name] = max(finishes[capture.name], log.ended[row])
    return max(begins.values()) < min(finishes.values())


def _rate(point: Point) -> float:
    """Seconds a run of wall time: the same for captures that hold the same runs."""
    return point.execution_s / point.runs


def _by_name(log: JobLog, capture: str) -> dict[str, float]:
    """Mean run time by the run's own name, else by its step."""
    sums: dict[str, list[float]] = {}
    for row in log.rows_with_run():
        if log.captures[log.capture[row]].name == capture:
            name = log.labels.get(row) or log.steps.texts[log.step[row]]
            sums.setdefault(name, []).append(log.ended[row] - log.started[row])
    return {name: sum(values) / len(values) for name, values in sums.items()}
