"""Jobs whose steps wait for each other: what barriers and a graph would make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.job_log import JobLog
from rollout.audit.measured import Measured
from rollout.audit.schedules import barriers_s, critical_path_s, graph_s

SAMPLE_JOBS = 40
SAMPLE_STEPS = 5_000


@dataclass(frozen=True, slots=True)
class Graphs:
    """Jobs with several steps, as they were and as they could have been; sums over a sample.

    Attributes:
        jobs, steps: The sample.
        seen_s: Makespans that were seen.
        work_s: Sums of run times: one worker.
        critical_s: Critical paths.
        barriers_s, graph_s: Simulated on `workers`.
        barriers_2_s, graph_2_s: Simulated on twice as many.
        workers: Workers.
        width: Work over critical path: how many can be busy at once.
        timed: Whether the log has starts, so that `seen_s` was really seen.
    """

    jobs: int
    steps: int
    seen_s: float
    work_s: float
    critical_s: float
    barriers_s: float
    graph_s: float
    barriers_2_s: float
    graph_2_s: float
    workers: int
    timed: bool

    @property
    def width(self) -> float:
        """How many steps can be busy at once, on average."""
        return self.work_s / self.critical_s if self.critical_s > 0 else 1.0


def graphs_of(measured: Measured) -> Graphs | None:
    """Simulate a sample of the jobs whose steps have parents; None when there are none."""
    log = measured.log
    if not log.parents:
        return None
    by_job: dict[int, list[int]] = {}
    for row in measured.runs.rows:
        by_job.setdefault(log.job[row], []).append(row)
    jobs = sorted(
        (rows for rows in by_job.values() if 1 < len(rows) <= SAMPLE_STEPS),
        key=lambda rows: sum(log.ended[row] - log.started[row] for row in rows),
    )
    jobs = jobs[:: max(1, -(-len(jobs) // SAMPLE_JOBS))]
    if not jobs:
        return None
    timed = not log.notes["a run time without a start"]
    workers, steps = measured.slots if timed else 16, 0
    all_values: list[tuple[float, ...]] = []
    for rows in jobs:
        durations, parents = _graph(log, rows)
        steps += len(rows)
        seen = max(log.ended[row] for row in rows) - min(log.started[row] for row in rows)
        values = (
            seen, sum(durations), critical_path_s(durations, parents),
            barriers_s(durations, parents, workers), graph_s(durations, parents, workers),
            barriers_s(durations, parents, 2 * workers), graph_s(durations, parents, 2 * workers),
        )  # fmt: skip
        all_values.append(values)
    seen, work, critical, at_w, graph, at_2w, graph_2 = map(sum, zip(*all_values, strict=True))
    return Graphs(
        len(jobs), steps, seen, work, critical, at_w, graph, at_2w, graph_2, workers, timed
    )


def _graph(log: JobLog, rows: Sequence[int]) -> tuple[list[float], list[list[int]]]:
    places = {row: at for at, row in enumerate(rows)}
    durations = [log.ended[row] - log.started[row] for row in rows]
    parents = [[places[one] for one in log.parents.get(row, ()) if one in places] for row in rows]
    return durations, parents
