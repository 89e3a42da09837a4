"""What scheduling costs: time in which a job could go on, somebody is free, and nothing runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.job_log import JobLog
from rollout.audit.load import Runs
from rollout.audit.ranks import quantile

STEPS_MIN = 10
TURNS_MIN = 50
SHORT_S = 60.0
"""A gap between two steps that is longer is not scheduling."""
TURN_S = 2.0
"""A worker that lets a job wait for longer is held back on purpose."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Scheduling against work.

    Attributes:
        jobs: Jobs of many steps that were looked at; 0 when the turns of workers were.
        steps: Their steps, or the turns.
        ratio: Median of work / makespan over the jobs; work / (work + turns) for workers.
        each_s: Seconds between one step and the next, median.
        run_s: Run time of a step, median.
        fan_out: Whether the steps could have run beside each other.
    """

    jobs: int
    steps: int
    ratio: float
    each_s: float
    run_s: float
    fan_out: bool

    @property
    def bound(self) -> bool:
        """Whether scheduling takes as long as a good part of the work."""
        return self.ratio < 0.7 and self.each_s >= 0.3 * self.run_s


def of_jobs(log: JobLog, runs: Runs) -> Overhead | None:
    """Work over makespan of the jobs with many steps; long gaps (hand-offs) are taken out."""
    by_job: dict[int, list[int]] = {}
    for row in runs.rows:
        by_job.setdefault(log.job[row], []).append(row)
    ratios: list[float] = []
    between: list[float] = []
    taken: list[float] = []
    steps = fanned = 0
    for rows in by_job.values():
        if len(rows) < STEPS_MIN:
            continue
        makespan, idle, overlapping, last = 0.0, [], 0, log.started[rows[0]]
        begin = last
        for row in rows:
            gap = log.started[row] - last
            if gap > SHORT_S:
                makespan += last - begin
                begin = log.started[row]
            elif gap > 0:
                idle.append(gap)
            else:
                overlapping += gap < 0
            last = max(last, log.ended[row])
        makespan += last - begin
        work = sum(log.ended[row] - log.started[row] for row in rows)
        if makespan <= 0:
            continue
        ratios.append(work / makespan)
        between.append(sum(idle) / len(rows))
        taken.extend(log.ended[row] - log.started[row] for row in rows)
        steps += len(rows)
        fanned += _wide(log, rows)
    if not ratios:
        return None
    return Overhead(
        len(ratios), steps, quantile(sorted(ratios), 0.5), quantile(sorted(between), 0.5),
        quantile(sorted(taken), 0.5), fanned > len(ratios) / 2,
    )  # fmt: skip


def _wide(log: JobLog, rows: Sequence[int]) -> bool:
    """Whether steps of a job do not depend on each other: a parent with many children, or none."""
    tied = [row for row in rows if row in log.parents]
    if not tied:
        return False
    parents = [log.parents[row] for row in tied]
    return len(set(parents)) <= max(1, len(tied) // 3)


def of_turns(log: JobLog, runs: Runs) -> Overhead | None:
    """From a run's end to the next of the same worker, where the next was already there."""
    last: dict[int, float] = {}
    turns: list[float] = []
    taken: list[float] = []
    for at, row in enumerate(runs.rows):
        worker = log.worker[row]
        if worker < 0:
            continue
        before, start = last.get(worker), runs.starts[at]
        came = log.received[row] if log.received[row] == log.received[row] else log.queued[row]
        if before is not None and came <= before and 0 <= start - before <= TURN_S:
            turns.append(start - before)
            taken.append(runs.ends[at] - start)
        last[worker] = max(runs.ends[at], before or 0.0)
    if len(turns) < TURNS_MIN:
        return None
    work = sum(taken)
    return Overhead(
        0, len(turns), work / (work + sum(turns)) if work else 0.0, quantile(sorted(turns), 0.5),
        quantile(sorted(taken), 0.5), True,
    )  # fmt: skip
