"""What breaks first on each way out, and what is lost on the way back, as this log shows it.

Where the log has no evidence the cell says so: no general wisdom stands in its place.
"""

from __future__ import annotations

from rollout.audit.findings import Finding, Kind
from rollout.audit.measured import Measured
from rollout.audit.ranks import quantile
from rollout.audit.segments import Part
from rollout.figures import seconds_text, share_text

CANNOT_SAY = "this log cannot say"
SLOW_MIN = 1.5
"""A step counts as the slowest when it takes so many times as long as the next one."""
FAILS_MIN = 0.05
"""A step that fails so often today is what more load meets first."""


def breaks_first(way: str, measured: Measured, shared: Finding | None) -> str:
    """What would break first on a way out."""
    match way:
        case "sequential":
            return _one_worker(measured)
        case "barriers":
            return _slowest(measured, "every level that holds it waits for its slowest")
        case "micro-batches":
            return _most_work(measured)
        case _:
            return _shared(measured, shared)


def _one_worker(measured: Measured) -> str:
    runs = measured.runs
    if not len(runs) or not measured.clock or runs.span_s <= 0:
        return CANNOT_SAY
    load = runs.work_s / runs.span_s
    if load >= 1:
        return f"it is asked for {load:.1f} times its time: the queue grows without end"
    longest = max(end - start for start, end in zip(runs.starts, runs.ends, strict=True))
    return f"the longest run: all others wait {seconds_text(longest)} behind it"


def _slowest(measured: Measured, why: str) -> str:
    if not measured.multi_step:
        return CANNOT_SAY
    steps = sorted(
        (one for one in measured.steps if one.p95_run_s == one.p95_run_s),
        key=lambda one: one.p95_run_s,
    )
    if not steps:
        return CANNOT_SAY
    slowest = steps[-1]
    if len(steps) > 1 and slowest.p95_run_s < SLOW_MIN * steps[-2].p95_run_s:
        return f"no step stands out; {why} ({seconds_text(slowest.p95_run_s)}, p95)"
    return f"{slowest.step} ({seconds_text(slowest.p95_run_s)}, p95): {why}"


def _most_work(measured: Measured) -> str:
    """The stage that all others wait for."""
    if not measured.multi_step:
        return CANNOT_SAY
    work = {one.step: one.total_s(Part.RUN) for one in measured.steps}
    total = sum(work.values())
    if total <= 0:
        return CANNOT_SAY
    step = max(work, key=lambda name: work[name])
    return f"{step}: it has {share_text(work[step] / total)} of the work, the others wait for it"


def _shared(measured: Measured, shared: Finding | None) -> str:
    """What jobs share, as far as this log shows it."""
    if shared is not None:
        where = f" in {shared.step}" if shared.step else ""
        return f"{_SHARED_WORDS[shared.kind]}{where}: {shared.reason}"
    failing = max(measured.steps, key=lambda one: one.failed, default=None)
    highest = _most_at_once(measured)
    if highest is None:
        return CANNOT_SAY
    if failing is not None and failing.failed >= FAILS_MIN:
        return f"{failing.step} fails in {share_text(failing.failed)} of its runs already"
    return f"nothing up to {highest} at once; beyond that {CANNOT_SAY}"


_SHARED_WORDS = {
    Kind.LOCK: "the lock",
    Kind.POOL: "the pool",
    Kind.COMPUTE: "the cores",
    Kind.CONTENTION: "what they share",
}


def _most_at_once(measured: Measured) -> int | None:
    """The highest level that was really held: one millisecond of rounding is none."""
    if measured.curve is None or not measured.clock:
        return None
    return measured.curve.top or None


def lost_on_the_way_back(way: str, measured: Measured) -> str:
    """What going back to the old path throws away: the runs in flight, on average."""
    if way == "sequential":
        return "nothing: it is the way back"
    runs = measured.runs
    apart = measured.multi_step or way == "parallel"  # jobs of one step have no steps to lose
    if not apart or not len(runs) or not measured.clock or runs.span_s <= 0:
        return CANNOT_SAY
    # Little's law: so many are in flight at any moment, each half done on average.
    in_flight = runs.work_s / runs.span_s
    lengths = sorted(end - start for start, end in zip(runs.starts, runs.ends, strict=True))
    # The one that an observer meets is a long one: lengths count by themselves.
    met_s = sum(one * one for one in lengths) / max(sum(lengths), 1e-9)
    again_s = in_flight * met_s / 2
    what = {"barriers": "steps of its level", "micro-batches": "batches", "graph": "steps"}.get(
        way, "jobs"
    )
    worst = quantile(lengths, 0.95)
    return (
        f"{in_flight:.1f} {what} in flight, {seconds_text(again_s)} of work done again "
        f"({seconds_text(worst)} for a long one)"
    )
