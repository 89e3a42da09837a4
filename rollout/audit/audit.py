"""The audit of a log: everything that is said, in one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.diagnose import findings_of
from rollout.audit.findings import Finding
from rollout.audit.growth import Growth, growth_of
from rollout.audit.job_log import DAY_S, JobLog
from rollout.audit.lacks import Lack, lacks_of
from rollout.audit.load import over_time
from rollout.audit.measured import Measured, measure
from rollout.audit.reading.stacks import Stacks
from rollout.audit.table import Line, table_of
from rollout.audit.verdict import Verdict, verdict_of
from rollout.audit.ways import Way, ways_of

BINS = 120
SATURATED = 0.9


@dataclass(frozen=True, slots=True)
class Series:
    """Load over time in equal parts of the span.

    Attributes:
        begins: Start of the first part.
        width_s: Length of each.
        running: Runs at once, mean of each part.
        waiting: Jobs that waited, mean of each part; empty when unknown.
        saturated_hours: Hours of the day (UTC) in which 9 of 10 workers were busy on average.
    """

    begins: float
    width_s: float
    running: list[float]
    waiting: list[float]
    saturated_hours: list[int]


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit says.

    Attributes:
        measured: All figures.
        findings: Bottlenecks, what decides first.
        ways: Ways out with bounds.
        table: Five of them side by side.
        growth: Where the arrivals lead; None with fewer than two weeks.
        lacks: What this input cannot tell.
        series: Load over time; None without runs.
        verdict: The answer.
        stacks: The inside of a step, when it was given.
    """

    measured: Measured
    findings: list[Finding]
    ways: list[Way]
    table: list[Line]
    growth: Growth | None
    lacks: list[Lack]
    series: Series | None
    verdict: Verdict
    stacks: Stacks | None = None
    tolerates_s: float | None = None


def audit(log: JobLog, tolerates_s: float | None = None, stacks: Stacks | None = None) -> Audit:
    """Audit a log.

    Pure: the same log gives the same answer.

    Args:
        log: Runs of one system, from one or several inputs.
        tolerates_s: Latency that users tolerate, in seconds.
        stacks: Samples of the inside of a step.
    """
    measured = measure(log)
    findings = findings_of(measured)
    ways = ways_of(measured, findings)
    growth = _growth(measured)
    return Audit(
        measured, findings, ways, table_of(measured, findings, ways, tolerates_s), growth,
        lacks_of(measured), series_of(measured),
        verdict_of(measured, findings, ways, growth, tolerates_s), stacks, tolerates_s,
    )  # fmt: skip


def _growth(measured: Measured) -> Growth | None:
    runs = measured.runs
    if not measured.clock or not len(runs) or runs.work_s <= 0:
        return None
    mean_s = runs.work_s / len(runs)
    return growth_of(measured.log.arrivals_by_day, measured.slots * DAY_S / mean_s)


def series_of(measured: Measured, bins: int = BINS) -> Series | None:
    """Load over time."""
    runs = measured.runs
    if not len(runs) or runs.span_s <= 0:
        return None
    log = measured.log
    running = over_time(runs.begins, runs.finishes, runs.starts, runs.ends_sorted, bins)
    came: list[float] = []
    left: list[float] = []
    for at, row in enumerate(runs.rows):
        arrival = log.queued[row] if log.queued[row] == log.queued[row] else log.received[row]
        if arrival <= runs.starts[at]:
            came.append(arrival)
            left.append(runs.starts[at])
    waiting = (
        over_time(runs.begins, runs.finishes, sorted(came), sorted(left), bins) if came else []
    )
    return Series(runs.begins, runs.span_s / bins, running, waiting, _saturated(measured))


def _saturated(measured: Measured) -> list[int]:
    """Hours of the day in which workers were busy, over whole days."""
    runs = measured.runs
    if not measured.clock or runs.span_s < DAY_S or runs.span_s > 400 * DAY_S:
        return []
    begin = runs.begins // 3600 * 3600
    hours = int((runs.finishes - begin) // 3600) + 1
    levels = over_time(begin, begin + hours * 3600, runs.starts, runs.ends_sorted, hours)
    by_hour: dict[int, list[float]] = {}
    for at, level in enumerate(levels):
        by_hour.setdefault(int((begin + at * 3600) % DAY_S // 3600), []).append(level)
    enough = SATURATED * measured.slots
    return sorted(hour for hour, seen in by_hour.items() if sum(seen) / len(seen) >= enough)


def kinds_of(findings: Sequence[Finding]) -> list[str]:
    """Names of the kinds that were found, what decides first, each once."""
    return list(dict.fromkeys(one.kind.value for one in findings))
