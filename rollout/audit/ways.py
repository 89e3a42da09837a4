"""The ways out, and what each would gain at most on the jobs of this log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from rollout.audit.contention import Answer
from rollout.audit.findings import SHARED, Finding, Kind
from rollout.audit.graphs import Graphs, graphs_of
from rollout.audit.measured import Measured
from rollout.audit.schedules import (
    micro_batches,
    waits_s,
)
from rollout.figures import seconds_text, times_text

REPLAYED_MAX = 100_000
NOTHING = 1.05
"""A way that gains less than this gains nothing."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way out.

    Attributes:
        name: sequential, barriers, micro-batches, graph, parallel, hardware, unlock.
        low, high: Times faster, at least and at most, against today; None where this log cannot
            say.
        of: What would be faster.
        sentence: What the figures rest on, or what is missing.
    """

    name: str
    low: float | None
    high: float | None
    of: str
    sentence: str

    @property
    def gains(self) -> bool:
        """Whether it can be expected to gain anything."""
        return self.low is not None and self.low >= NOTHING


def ways_of(measured: Measured, findings: Sequence[Finding]) -> list[Way]:
    """Every way out with its bounds."""
    shared = next((one for one in findings if one.kind in SHARED), None)
    graphs = graphs_of(measured)
    return [
        _sequential(measured, shared, graphs),
        *_graph_ways(measured, graphs, shared),
        _batches(measured),
        *_workers(measured, shared),
        *_unlock(measured, shared),
    ]


def _replay(measured: Measured, durations: Sequence[float], workers: int) -> tuple[float, float]:
    """Mean wait and p95 cycle of the log's own arrivals on so many workers."""
    log = measured.log
    rows = measured.runs.rows[-REPLAYED_MAX:]
    taken = durations[-REPLAYED_MAX:]
    came = []
    for at, row in enumerate(rows):
        queued, received = log.queued[row], log.received[row]
        arrival = queued if queued == queued else received
        came.append((arrival if arrival == arrival else log.started[row], taken[at]))
    came.sort()
    return waits_s([one for one, _ in came], [took for _, took in came], workers)


def _durations(measured: Measured) -> list[float]:
    return [
        end - start for start, end in zip(measured.runs.starts, measured.runs.ends, strict=True)
    ]


def _sequential(measured: Measured, shared: Finding | None, graphs: Graphs | None) -> Way:
    runs = measured.runs
    name, of = "sequential", "time until a job is done"
    if graphs is not None:
        factor = graphs.seen_s / graphs.work_s if graphs.work_s else 1.0
        return Way(
            name, factor if graphs.timed else None, factor if graphs.timed else None,
            "a job's makespan",
            f"one worker, step after step, needs {seconds_text(graphs.work_s / graphs.jobs)} a job",
        )  # fmt: skip
    if not len(runs) or not measured.clock or runs.span_s <= 0:
        return Way(name, None, None, of, "this log has no runs on a clock")
    load = sum(measured.alone if shared else _durations(measured)) / runs.span_s
    if load >= 1:
        return Way(
            name,
            None,
            None,
            of,
            f"one worker cannot keep up: it would be asked for {load:.1f} times its time",
        )
    wait_s, cycle_s = _replay(measured, measured.alone if shared else _durations(measured), 1)
    _, today_s = _replay(measured, _durations(measured), measured.slots)
    factor = today_s / cycle_s if cycle_s > 0 else 1.0
    return Way(
        name, factor, factor, of,
        f"one worker would be busy {100 * load:.0f} % of the time; 95 of 100 jobs done within "
        f"{seconds_text(cycle_s)}, mean wait {seconds_text(wait_s)}",
    )  # fmt: skip


def _graph_ways(measured: Measured, graphs: Graphs | None, shared: Finding | None) -> list[Way]:
    of = "a job's makespan"
    stated = measured.focus if measured.focus and measured.focus.critical_path_s else None
    if graphs is None and stated is not None and stated.critical_path_s:
        inflated = measured.comparison is not None or shared is not None or stated.at_once > 1.5
        bound = stated.execution_s / max(stated.critical_path_s, stated.work_s / stated.slots)
        path = f"critical path {seconds_text(stated.critical_path_s)}"
        sentence = (
            f"the {path} was read while {stated.at_once:.1f} ran at once, and is longer for it: "
            "how much this gains cannot be read from this capture"
        )
        sentence = sentence if inflated else path
        low, high = (None, None) if inflated else (1.0, bound)
        return [Way(one, low, high, of, sentence) for one in ("barriers", "graph")]
    if graphs is None:
        missing = "which step waits for which is not in this log (column parents)"
        if not measured.multi_step:
            missing = "jobs of this log have one step each: look inside it (--stacks)"
        return [Way(one, None, None, of, missing) for one in ("barriers", "graph")]
    note = (
        "; run times are from a log with contention, so the critical path is inflated"
        if shared
        else ""
    )
    ways = []
    for name, at_w, at_2w in (
        ("barriers", graphs.barriers_s, graphs.barriers_2_s),
        ("graph", graphs.graph_s, graphs.graph_2_s),
    ):
        factor = (
            graphs.seen_s / at_w if at_w and graphs.timed else graphs.work_s / at_w if at_w else 1.0
        )
        ways.append(
            Way(
                name, min(1.0, factor) if shared else factor, factor, of,
                f"simulated on {graphs.workers} workers over {graphs.jobs} jobs: "
                f"{seconds_text(at_w)} against "
                f"{seconds_text(graphs.seen_s if graphs.timed else graphs.work_s)} "
                f"{'seen' if graphs.timed else 'one after the other'}, {seconds_text(at_2w)} on "
                "twice as "
                f"many; critical path {seconds_text(graphs.critical_s)}, work "
                f"{seconds_text(graphs.work_s)}"
                f"{note}",
            )
        )  # fmt: skip
    return ways


def _batches(measured: Measured) -> Way:
    of = "throughput of the whole chain"
    if not measured.multi_step or not measured.clock:
        return Way(
            "micro-batches",
            None,
            None,
            of,
            "needs jobs of several stages; jobs of this log have one step each",
        )
    stages = []
    for one in measured.steps:
        run = next((part for part in one.segments if part.part.name == "RUN"), None)
        if run is not None and measured.jobs:
            stages.append((one.step, run.total_s / measured.jobs))
    if len(stages) < 2:
        return Way("micro-batches", None, None, of, "needs the run times of at least two stages")
    bound = micro_batches([took for _, took in stages], [1] * len(stages))
    slowest, took = max(stages, key=lambda one: one[1])
    return Way(
        "micro-batches", 1.0, bound, of,
        f"at most {times_text(bound)} with a worker a stage: sum over the slowest, {slowest} with "
        f"{seconds_text(took)} a job; a second worker there moves the limit",
    )  # fmt: skip


def last_doubling(measured: Measured) -> float | None:
    """What the last doubling of runs at once bought in this log; None when it shows none."""
    curve = measured.curve
    if curve is None:
        return None
    top = curve.top
    half = top // 2
    if half < 1:
        return None
    enough = 0.01 * curve.busy_s
    low, high = ceil(half * 0.85), half
    upper = max(half + 1, ceil(top * 0.85))
    if sum(curve.time_s[low : high + 1]) < enough or sum(curve.time_s[upper : top + 1]) < enough:
        return None
    return curve.speed(upper, top) / curve.speed(low, high)


def _workers(measured: Measured, shared: Finding | None) -> list[Way]:
    """More workers on the same machine, and twice the hardware."""
    of = "time until a job is done"
    runs = measured.runs
    if not len(runs) or not measured.clock:
        both = measured.comparison
        if both is not None:
            times = 1 / (1 - both.bought) if both.bought < 1 else 1.0
            sentence = (
                f"{times_text(both.times)} the workers made it {times_text(times)} as fast; "
                f"{len(both.points)} load points fit no scalability law (5 are needed)"
            )
            return [
                Way("parallel", min(1.0, times), times, "the same runs", sentence),
                Way(
                    "hardware",
                    1.0,
                    2.0,
                    "the same runs",
                    "one machine was seen: measure on the other one",
                ),
            ]
        missing = "one capture shows one number of workers: capture another"
        return [Way(one, None, None, of, missing) for one in ("parallel", "hardware")]
    durations = _durations(measured)
    _, now_s = _replay(measured, durations, measured.slots)
    _, twice_s = _replay(measured, durations, 2 * measured.slots)
    most = now_s / twice_s if twice_s > 0 else 1.0
    doubling = last_doubling(measured)
    base = (
        f"95 of 100 jobs done within {seconds_text(twice_s)} instead of {seconds_text(now_s)} "
        "if nothing slows"
    )
    if shared is not None and shared.kind is not Kind.COMPUTE:
        sentence = (
            "no more gets done: what all need stays one"
            if shared.kind is Kind.LOCK
            else ("hardly more gets done: what the runs wait for stays as it is")
        )
        bought = (
            f"; the last doubling in this log bought {times_text(doubling)}" if doubling else ""
        )
        high = max(1.0, min(most, doubling or 1.0)) if shared.kind is Kind.CONTENTION else 1.0
        return [Way(one, 1.0, high, of, sentence + bought) for one in ("parallel", "hardware")]
    if shared is not None:
        return [
            Way("parallel", 1.0, 1.0, of, "the cores are busy: more processes share them"),
            Way("hardware", 1.0, most, of, base),
        ]
    tested = bool(measured.tests) and measured.tests[0].answer is Answer.NOT_SLOWED
    low = max(1.0, min(most, most * min(1.0, (doubling or 2.0) / 2))) if tested else 1.0
    note = "" if tested else "; whether runs slow each other down this log cannot say"
    if measured.slowed is not None:
        note = "; runs slow each other down a little"
    return [Way(one, low, most, of, base + note) for one in ("parallel", "hardware")]


def _unlock(measured: Measured, shared: Finding | None) -> list[Way]:
    """Without the lock or with a larger pool: run times as when nobody waits."""
    if shared is None or shared.kind is Kind.COMPUTE:
        return []
    runs = measured.runs
    of = "run time under load"
    if shared.values.get("waited_s"):
        run_s = runs.work_s
        left = run_s - float(shared.values["waited_s"])
        return [
            Way("unlock", 1.0, run_s / left if left > 0 else 1.0, of, "all waits for it taken out")
        ]
    both = measured.comparison
    if both is not None:
        return [
            Way(
                "unlock",
                1.0,
                both.longer,
                of,
                "run times of the capture with few, in the one with many",
            )
        ]
    level = shared.values.get("level")
    if level:
        return [Way("unlock", 1.0, float(level), of, f"{level} at once, none waiting for another")]
    alone, seen = sum(measured.alone), runs.work_s
    return [
        Way(
            "unlock", 1.0, seen / alone if alone else 1.0, of,
            f"run times as beside few others, {seconds_text(alone)} in sum instead of "
            f"{seconds_text(seen)}",
        )
    ]  # fmt: skip
