"""Everything that is measured on a log, before anything is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.captures import Comparison, Point, compared, point_of, points_of
from rollout.audit.contention import (
    Answer,
    Contention,
    Shape,
    alone_of,
    contentions,
    shape_of,
)
from rollout.audit.doubts import Doubt, doubt_of
from rollout.audit.gaps import Gap, gaps_of
from rollout.audit.job_log import DAY_S, NAN, JobLog, Status
from rollout.audit.load import Curve, Runs, curve_of, runs_of, slots_of
from rollout.audit.overhead import Overhead, of_jobs, of_turns
from rollout.audit.segments import Part, StepTimes, step_times, summed
from rollout.audit.serial import Serial, serial_of

FREE = 0.9
"""With so many of its workers at work a system counts as busy."""


@dataclass(slots=True)
class Waiting:
    """Waiting before the start, in the queue or fetched.

    Attributes:
        total_s: Sum.
        count: Runs for which it is known.
        busy: Share of the seconds in the middle of which (of each wait) all workers were busy.
        fetched: Whether it is the wait inside the worker; the time in the queue is unknown.
        p95_s: Of a run's wait.
    """

    total_s: float
    count: int
    busy: float
    fetched: bool
    p95_s: float


@dataclass(slots=True)
class Measured:
    """All figures of a log; see the modules for what each means.

    Attributes:
        log: The log.
        rows: Rows that are looked at: those of one capture when captures cannot be put together.
        runs: Those with a start and an end, by start.
        curve: Progress at each level.
        alone: How long each run takes when few others run.
        slots: Workers.
        steps, parts: Segments by step, and summed.
        tests: Contention of all steps together (when there are several), then of each.
        shape: What the curve looks like; None when too little.
        shape_of_step: The same for the step that is slowed most, against its own kind.
        slowed: The test that found most; None when none did.
        clock: Whether times are dates.
        doubt: Why its times do not tell who waits and how many run at once; None when they do.
    """

    log: JobLog
    rows: Sequence[int]
    runs: Runs
    curve: Curve | None
    alone: list[float]
    slots: int
    steps: list[StepTimes]
    parts: dict[Part, float]
    tests: list[Contention]
    shape: Shape | None
    slowed: Contention | None
    serial: Serial | None
    gaps: list[Gap]
    by_jobs: Overhead | None
    by_turns: Overhead | None
    waiting: Waiting | None
    points: list[Point]
    comparison: Comparison | None
    clock: bool
    doubt: Doubt | None = None
    finished: int = 0
    jobs: int = 0

    @property
    def hand_offs(self) -> list[Gap]:
        """Gaps that are hand-offs."""
        return [one for one in self.gaps if one.hand_off]

    @property
    def focus(self) -> Point | None:
        """The capture whose runs are looked at, when it is one; None without runs."""
        if not len(self.runs):
            return None
        name = self.log.captures[self.log.capture[self.runs.rows[0]]].name
        return next((one for one in self.points if one.name == name), None)

    @property
    def total_s(self) -> float:
        """All seconds of all jobs that are known and may be summed."""
        return sum(self.parts.values()) + sum(one.total_s for one in self.hand_offs)

    @property
    def utilisation(self) -> float:
        """Work over workers times the whole span; NaN without runs."""
        if not len(self.runs) or self.runs.span_s <= 0:
            return NAN
        return self.runs.work_s / (self.slots * self.runs.span_s)

    @property
    def multi_step(self) -> bool:
        """Whether jobs have several steps."""
        return self.jobs > 0 and len(self.rows) >= 1.5 * self.jobs and len(self.steps) > 1

    def step(self, name: str) -> StepTimes | None:
        """A step by its name."""
        return next((one for one in self.steps if one.step == name), None)


def measure(log: JobLog) -> Measured:
    """Measure everything; what the log does not allow to measure is None or empty."""
    clock = all(one.clock for one in log.captures)
    if len(log.captures) == 1:
        rows: Sequence[int] = range(len(log))
        runs = runs_of(log)
        points = [point_of(log, 0, runs)] if len(runs) else []
    else:
        points = points_of(log)
        rows = _rows(log, points, clock)
        runs = runs_of(log, [row for row in rows if log.ended[row] >= log.started[row]])
    inside = range(len(log)) if rows is range(len(log)) else rows
    started = any(one.kind == "WfFormat workflow" for one in log.captures) and not clock
    took = [end - start for start, end in zip(runs.starts, runs.ends, strict=True)]
    doubt = doubt_of(log, took)
    levelled = len(runs) > 0 and not started and doubt is None
    alone = alone_of(log, runs) if levelled else took
    curve = curve_of(runs, alone) if levelled else None
    slots = slots_of(log, curve) if curve else max((one.slots for one in points), default=1)
    if not clock and points and curve:
        slots = max(
            1, max((one.slots or 0 for one in log.captures if _of(log, runs, one.name)), default=1)
        )
    steps = step_times(log, inside)
    tests = contentions(log, runs) if levelled else []
    slowed = _most_slowed(tests, steps)
    shape = _shape(log, runs, curve, alone, slowed)
    jobs = len({log.job[row] for row in inside})
    several = jobs < len(inside)
    one_level = bool(tests) and tests[0].answer is Answer.TOO_LITTLE
    finished = sum(log.status[row] in (Status.DONE, Status.FAILED) for row in inside)
    return Measured(
        log, inside, runs, curve, alone, slots, steps, summed(steps), tests, shape, slowed,
        serial_of(log, runs) if levelled and one_level else None,
        gaps_of(log, inside, runs, slots) if clock and several and doubt is None else [],
        of_jobs(log, runs) if levelled and several else None,
        of_turns(log, runs) if levelled else None,
        _waiting(log, runs, slots) if levelled else None, points,
        compared(log, points), clock, doubt, finished, jobs,
    )  # fmt: skip


def _of(log: JobLog, runs: Runs, name: str) -> bool:
    return len(runs) > 0 and log.captures[log.capture[runs.rows[0]]].name == name


def _rows(log: JobLog, points: Sequence[Point], clock: bool) -> Sequence[int]:
    """All rows; of several traces, whose clocks have nothing in common, those with most workers."""
    if clock or len(log.captures) < 2 or not points:
        return range(len(log))
    busiest = max(points, key=lambda one: one.slots).name
    return [row for row in range(len(log)) if log.captures[log.capture[row]].name == busiest]


def _most_slowed(tests: Sequence[Contention], steps: Sequence[StepTimes]) -> Contention | None:
    """The slowed step on which most time is lost; all together when no single step is."""
    run_s = {one.step: one.total_s(Part.RUN) for one in steps}
    slowed = [one for one in tests if one.answer is Answer.SLOWED]
    single = [one for one in slowed if one.step]
    if single:
        return max(single, key=lambda one: run_s.get(one.step, 0.0) * (1 - 1 / one.ratio))
    return slowed[0] if slowed else None


def _shape(
    log: JobLog, runs: Runs, curve: Curve | None, alone: list[float], slowed: Contention | None
) -> Shape | None:
    """The curve of everything, or of the slowed step against its own kind if there are others."""
    if curve is None:
        return None
    if slowed is None or not slowed.step or len({log.step[row] for row in runs.rows}) == 1:
        return shape_of(curve)
    places = [
        at for at, row in enumerate(runs.rows) if log.steps.texts[log.step[row]] == slowed.step
    ]
    own = runs_of(log, [runs.rows[at] for at in places])
    return shape_of(curve_of(own, alone_of(log, own)))


def _waiting(log: JobLog, runs: Runs, slots: int) -> Waiting | None:
    total = busy = 0.0
    queued = 0
    waits: list[float] = []
    for at, row in enumerate(runs.rows):
        came = log.queued[row]
        if came == came:
            queued += 1
        else:
            came = log.received[row]
        wait = runs.starts[at] - came
        if wait >= 0:
            waits.append(wait)
            total += wait
            if wait > 0 and runs.level(came + wait / 2) >= FREE * slots:
                busy += wait
    if not waits:
        return None
    waits.sort()
    return Waiting(
        total, len(waits), busy / total if total else 0.0, queued < 0.5 * len(waits),
        waits[int(0.95 * (len(waits) - 1))],
    )  # fmt: skip


def jobs_a_day(measured: Measured) -> float:
    """Jobs a day over the days of the log; a log shorter than a day goes on like that."""
    log = measured.log
    if not measured.clock or not len(measured.runs):
        return NAN
    span = max(measured.runs.span_s, 1.0)
    arrived = sum(log.arrivals_by_day.values()) or len(measured.rows)
    jobs = measured.jobs / max(1, len(measured.rows)) * arrived
    days = span / DAY_S
    if log.dropped and log.arrivals_by_day:  # of a long log the newest runs are kept, all arrivals
        days = max(days, float(max(log.arrivals_by_day) - min(log.arrivals_by_day)))
    return jobs / days
