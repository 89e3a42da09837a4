"""Where the time of a job goes: in the queue, fetched and waiting, running, waiting inside."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rollout.audit.job_log import JobLog, Status
from rollout.audit.ranks import quantile


class Part(StrEnum):
    """A part of a job's way."""

    QUEUE = "waiting in the queue"
    """From its submission until a worker fetched or started it."""
    FETCHED = "fetched and waiting in the worker"
    """From the worker's receipt until its start."""
    RUN = "running"
    """From start to end, without what it waited for inside."""
    RESOURCE = "waiting for a resource"
    """Inside a run, for a lock or a pool."""
    RETRY = "attempts that asked for a retry"
    """Runs that were made again; all they took was spent for nothing."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the way, over the runs for which it is known.

    Attributes:
        part: Which.
        count: Runs for which it is known.
        total_s: Their sum.
        median_s: Their median.
        p95_s: Their 95th percentile.
    """

    part: Part
    count: int
    total_s: float
    median_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class StepTimes:
    """One step.

    Attributes:
        step: Its name.
        runs: Rows, also those without a start.
        failed: Share that failed, of those that ended.
        retried: Share of attempts that asked for a retry.
        segments: What is known of its way.
        cpu_share: CPU seconds over run time; None where no CPU seconds are known.
    """

    step: str
    runs: int
    failed: float
    retried: float
    segments: tuple[Segment, ...]
    cpu_share: float | None

    def total_s(self, part: Part) -> float:
        """Seconds of one part."""
        return sum(one.total_s for one in self.segments if one.part is part)

    @property
    def median_run_s(self) -> float:
        """Median run time; NaN when no start is known."""
        return next((one.median_s for one in self.segments if one.part is Part.RUN), float("nan"))

    @property
    def p95_run_s(self) -> float:
        """95th percentile of the run time; NaN when no start is known."""
        return next((one.p95_s for one in self.segments if one.part is Part.RUN), float("nan"))


def step_times(log: JobLog, rows: Iterable[int]) -> list[StepTimes]:
    """The segments of each step, the one that takes most time first."""
    by_step: dict[int, array[int]] = {}
    for row in rows:
        by_step.setdefault(log.step[row], array("l")).append(row)
    steps = [_one(log, log.steps.texts[step], of_step) for step, of_step in by_step.items()]
    return sorted(steps, key=lambda one: -sum(part.total_s for part in one.segments))


def _one(log: JobLog, name: str, rows: array[int]) -> StepTimes:
    values: dict[Part, array[float]] = {part: array("d") for part in Part}
    cpu_s = run_s = 0.0
    failed = ended = retried = 0
    for row in rows:
        queued, received = log.queued[row], log.received[row]
        started, end, status = log.started[row], log.ended[row], log.status[row]
        if queued == queued:
            until = received if received == received else started
            if until >= queued:
                values[Part.QUEUE].append(until - queued)
        if started >= received:
            values[Part.FETCHED].append(started - received)
        if status == Status.FAILED:
            failed += 1
        if status == Status.RETRIED:
            retried += 1
        elif status in (Status.DONE, Status.FAILED):
            ended += 1
        if end >= started:
            waited = log.waited[row]
            inside = min(waited, end - started) if waited == waited else 0.0
            if waited == waited:
                values[Part.RESOURCE].append(inside)
            values[Part.RETRY if status == Status.RETRIED else Part.RUN].append(
                end - started - inside
            )
            if log.cpu[row] == log.cpu[row]:
                cpu_s += log.cpu[row]
                run_s += end - started
    segments = tuple(_segment(part, one) for part, one in values.items() if one)
    return StepTimes(
        name, len(rows), failed / ended if ended else 0.0,
        retried / len(rows) if rows else 0.0, segments, cpu_s / run_s if run_s else None,
    )  # fmt: skip


def _segment(part: Part, values: array[float]) -> Segment:
    ordered = sorted(values)
    return Segment(
        part, len(ordered), sum(ordered), quantile(ordered, 0.5), quantile(ordered, 0.95)
    )


def summed(steps: Iterable[StepTimes]) -> dict[Part, float]:
    """Seconds of each part over all steps, in the order of a job's way; only what is known."""
    totals: dict[Part, float] = {}
    for part in Part:
        known = [one for step in steps for one in step.segments if one.part is part]
        if known:
            totals[part] = sum(one.total_s for one in known)
    return totals
