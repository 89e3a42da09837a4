"""From figures to findings: one function per kind of bottleneck, each with its limits."""

from __future__ import annotations

from rollout.audit.findings import SHARED, Finding, Kind
from rollout.audit.gaps import Pause
from rollout.audit.measured import Measured
from rollout.audit.segments import Part
from rollout.audit.shared import (
    COMPUTES,
    compared_captures,
    cpu_known,
    one_at_a_time,
    slowed_runs,
    stated_waits,
)
from rollout.figures import clock_text, seconds_text, share_text

FINISHED_MIN = 30
"""Finished runs below which no bottleneck is named."""
WAIT_SHARE = 0.25
BUSY_MIN = 0.7
HAND_OFF_SHARE = 0.2
SKEW_RUNS_MIN = 200
SKEW_TOP = 0.01
SKEW_SHARE = 0.3
RETRY_SHARE = 0.1
FAILED_SHARE = 0.1
STALLS = 0.3


def findings_of(measured: Measured) -> list[Finding]:
    """All bottlenecks that the figures show, the largest share of the jobs' time first."""
    if measured.comparison is not None:
        return [*compared_captures(measured), *stated_waits(measured)]
    if measured.finished < FINISHED_MIN or not len(measured.rows):
        return []
    shared = stated_waits(measured) or slowed_runs(measured) or one_at_a_time(measured)
    found = [
        *shared,
        *_hand_off(measured),
        *_overhead(measured),
        *_queueing(measured, bool(shared)),
        *_skew(measured),
        *_retries(measured),
    ]
    return sorted(found, key=lambda one: (one.kind not in SHARED, -one.share))


def _hand_off(measured: Measured) -> list[Finding]:
    found = []
    total = measured.total_s
    for gap in measured.hand_offs:
        share = gap.total_s / total if total > 0 else 0.0
        if share < HAND_OFF_SHARE:
            continue
        when = f", it begins about {clock_text(gap.clock_s)}" if gap.clock_s is not None else ""
        what = "a regular hand-off" if gap.pause is Pause.CLOCK else "an irregular hand-off"
        found.append(
            Finding(
                Kind.HAND_OFF, f"{gap.before} → {gap.after}", share,
                f"between {gap.before} and {gap.after} nobody works on the job for "
                f"{seconds_text(gap.median_s)}{when}",
                f"Between {gap.before} and {gap.after} nobody works on the job for "
                f"{seconds_text(gap.median_s)} (median of {gap.count:,} of {gap.of:,}): "
                f"{what}{when}.",
                {
                    "median_s": gap.median_s, "count": gap.count, "of": gap.of,
                    "regular": gap.pause is Pause.CLOCK, "clock_s": gap.clock_s,
                    "idle": round(gap.idle, 3),
                },
            )
        )  # fmt: skip
    return found


def _overhead(measured: Measured) -> list[Finding]:
    found = []
    jobs, turns = measured.by_jobs, measured.by_turns
    if jobs is not None and jobs.bound and not measured.hand_offs:
        found.append(
            Finding(
                Kind.OVERHEAD, "", 1 - jobs.ratio,
                f"a step runs {seconds_text(jobs.run_s)}, {seconds_text(jobs.each_s)} pass before "
                f"the next (work over makespan {jobs.ratio:.2f})",
                f"Work over makespan is {jobs.ratio:.2f} (median of {jobs.jobs:,} jobs of many "
                "steps): a "
                f"step runs {seconds_text(jobs.run_s)} and {seconds_text(jobs.each_s)} pass "
                "before the "
                "next; scheduling is the larger part, whatever runs beside it.",
                {"work_over_makespan": round(jobs.ratio, 4), "between_s": jobs.each_s,
                "run_s": jobs.run_s},
            )
        )  # fmt: skip
    elif turns is not None and turns.bound:
        found.append(
            Finding(
                Kind.OVERHEAD, "", 1 - turns.ratio,
                f"a run takes {seconds_text(turns.run_s)} and a worker needs "
                f"{seconds_text(turns.each_s)} to begin the next",
                f"A worker needs {seconds_text(turns.each_s)} from one run to the next that "
                "already waits, "
                f"and a run takes {seconds_text(turns.run_s)} (medians, {turns.steps:,} turns).",
                {"work_over_makespan": round(turns.ratio, 4), "between_s": turns.each_s,
                "run_s": turns.run_s},
            )
        )  # fmt: skip
    return found


def _queueing(measured: Measured, shared: bool) -> list[Finding]:
    waiting = measured.waiting
    if waiting is None or waiting.count < FINISHED_MIN:
        return []
    run_s = measured.runs.work_s
    share = waiting.total_s / (waiting.total_s + run_s) if waiting.total_s + run_s > 0 else 0.0
    if share < WAIT_SHARE:
        return []
    where = "fetched, in the worker," if waiting.fetched else "in the queue"
    values = {
        "wait_share": round(share, 4), "busy_share": round(waiting.busy, 4),
        "wait_p95_s": waiting.p95_s, "slots": measured.slots,
        "utilisation": round(measured.utilisation, 4),
    }  # fmt: skip
    turns = measured.by_turns
    if waiting.busy < BUSY_MIN and turns is not None and turns.bound:
        return []  # workers are not free, they are between two runs
    if waiting.busy < BUSY_MIN:
        return [
            Finding(
                Kind.HELD_BACK, "", share * (1 - waiting.busy),
                f"jobs wait for {share_text(share)} of their time, mostly while workers are free",
                f"Jobs wait {where} for {share_text(share)} of their time, and for "
                f"{share_text(1 - waiting.busy)} of that workers are free: prefetch, an ETA, a "
                "rate limit or "
                "routing holds them back.",
                values,
            )
        ]  # fmt: skip
    found = [
        Finding(
            Kind.QUEUEING, "", share,
            f"jobs wait {where} for {share_text(share)} of their time (p95 "
            f"{seconds_text(waiting.p95_s)}) while all {measured.slots} workers are busy",
            f"Jobs wait {where} for {share_text(share)} of their time (p95 "
            f"{seconds_text(waiting.p95_s)}) while all {measured.slots} workers are busy"
            + (": what slows the runs fills the queue." if shared else "."),
            values,
        )
    ]  # fmt: skip
    if not shared and cpu_known(measured):
        cpu = sum(one for row in measured.runs.rows if (one := measured.log.cpu[row]) == one)
        if cpu < STALLS * run_s:
            found.append(
                Finding(
                    Kind.IO_STALL, "", share * (1 - cpu / run_s),
                    f"busy workers compute {share_text(cpu / run_s)} of their time",
                    f"The busy workers compute {share_text(cpu / run_s)} of their time; the rest "
                    "they wait "
                    "for somebody else's answer: more runs at once on the same machine cost "
                    "little.",
                    {"cpu_share": round(cpu / run_s, 4)},
                )
            )  # fmt: skip
        elif cpu >= COMPUTES * run_s:
            found.append(
                Finding(
                    Kind.COMPUTE, "", share * cpu / run_s,
                    f"busy workers compute {share_text(cpu / run_s)} of their time",
                    f"The busy workers compute {share_text(cpu / run_s)} of their time: more "
                    "runs at once "
                    "need more cores.",
                    {"cpu_share": round(cpu / run_s, 4), "holds": None},
                )
            )  # fmt: skip
    return found


def _skew(measured: Measured) -> list[Finding]:
    runs = measured.runs
    if len(runs) < SKEW_RUNS_MIN:
        return []
    taken = sorted(end - start for start, end in zip(runs.starts, runs.ends, strict=True))
    top = max(1, int(SKEW_TOP * len(taken)))
    total, middle = sum(taken), taken[len(taken) // 2]
    share = sum(taken[-top:]) / total if total else 0.0
    if share < SKEW_SHARE or taken[-1] < 20 * middle:
        return []
    return [
        Finding(
            Kind.SKEW, "", share,
            f"{top:,} of {len(taken):,} runs take {share_text(share)} of all run time",
            f"{top:,} of {len(taken):,} runs take {share_text(share)} of all run time; the longest "
            f"{seconds_text(taken[-1])}, the median {seconds_text(middle)}. No number of workers "
            "makes the "
            "longest shorter.",
            {"top_share": round(share, 4), "top_runs": top, "longest_s": taken[-1],
            "median_s": middle},
        )
    ]  # fmt: skip


def _retries(measured: Measured) -> list[Finding]:
    found = []
    rows = sum(one.runs for one in measured.steps)
    retried = sum(one.retried * one.runs for one in measured.steps)
    if rows and retried / rows >= RETRY_SHARE:
        retry_s = measured.parts.get(Part.RETRY, 0.0)
        found.append(
            Finding(
                Kind.RETRIES, "", retried / rows,
                f"{share_text(retried / rows)} of the attempts ask to be run again",
                f"{share_text(retried / rows)} of the attempts asked to be run again"
                + (f", {seconds_text(retry_s)} of run time." if retry_s else "."),
                {"retried_share": round(retried / rows, 4)},
            )
        )  # fmt: skip
    failed = sum(one.failed * one.runs for one in measured.steps)
    if rows and failed / rows >= FAILED_SHARE:
        found.append(
            Finding(
                Kind.FAILURES, "", failed / rows,
                f"{share_text(failed / rows)} of the runs fail",
                f"{share_text(failed / rows)} of the runs "
                "fail.", {"failed_share": round(failed / rows, 4)},
            )
        )  # fmt: skip
    return found
