"""From figures to findings: one function per kind of bottleneck, each with its limits."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.audit.contention import Answer
from rollout.audit.findings import SHARED, Finding, Kind
from rollout.audit.gaps import Pause
from rollout.audit.measured import Measured
from rollout.audit.segments import Part
from rollout.audit.words import clock_text, seconds_text, share_text, times_text

FINISHED_MIN = 30
"""Finished runs below which no bottleneck is named."""
WAIT_SHARE = 0.25
BUSY_MIN = 0.7
RESOURCE_SHARE = 0.1
HAND_OFF_SHARE = 0.2
SKEW_RUNS_MIN = 200
SKEW_TOP = 0.01
SKEW_SHARE = 0.3
RETRY_SHARE = 0.1
FAILED_SHARE = 0.1
COMPUTES = 0.7
STALLS = 0.3
CPU_KNOWN_MIN = 0.5
SLOWED_SHARE = 0.05


def findings_of(measured: Measured) -> list[Finding]:
    """All bottlenecks that the figures show, the largest share of the jobs' time first."""
    if measured.comparison is not None:
        return [*_compared(measured), *_resource(measured)]
    if measured.finished < FINISHED_MIN or not len(measured.rows):
        return []
    shared = _resource(measured) or _slowed(measured) or _one_at_a_time(measured)
    found = [
        *shared,
        *_hand_off(measured),
        *_overhead(measured),
        *_queueing(measured, bool(shared)),
        *_skew(measured),
        *_retries(measured),
    ]
    return sorted(found, key=lambda one: (one.kind not in SHARED, -one.share))


def _compared(measured: Measured) -> list[Finding]:
    """Captures at different concurrency: whether the same runs took longer beside more others."""
    both = measured.comparison
    if both is None or both.longer < 1.2:
        return []
    few, many = both.few, both.many
    bought = f"bought {share_text(both.bought)}" if both.bought > 0 else f"cost {share_text(-both.bought)}"
    return [
        Finding(
            Kind.CONTENTION, "", 1 - 1 / both.longer,
            f"{times_text(both.times)} the concurrency ({few.slots} to {many.slots}) {bought} of the "
            f"time ({seconds_text(few.execution_s)} to {seconds_text(many.execution_s)}): runs slow "
            f"each other down. The same {both.shared} runs took {seconds_text(few.work_s)} in sum "
            f"beside few others and {seconds_text(many.work_s)} beside many.",
            {
                "times_the_concurrency": round(both.times, 3), "bought": round(both.bought, 4),
                "work_few_s": few.work_s, "work_many_s": many.work_s,
                "longer": round(both.longer, 3),
            },
        )
    ]  # fmt: skip


def _resource(measured: Measured) -> list[Finding]:
    """Waits that the log states by itself."""
    log = measured.log
    waited: dict[int, float] = {}
    holds: dict[int, list[tuple[float, float]]] = {}
    for row in measured.runs.rows:
        resource, wait = log.resource[row], log.waited[row]
        if resource >= 0 and wait == wait:
            waited[resource] = waited.get(resource, 0.0) + wait
            holds.setdefault(resource, []).append((min(log.started[row] + wait, log.ended[row]), log.ended[row]))
    run_s = measured.runs.work_s if len(measured.runs) else 0.0
    found = []
    for resource, wait_s in waited.items():
        if run_s <= 0 or wait_s < RESOURCE_SHARE * run_s:
            continue
        name = log.resources.texts[resource]
        most = most_at_once(holds[resource])
        kind = Kind.LOCK if most <= 1 else Kind.POOL
        one = "one run at a time has it" if most <= 1 else f"at most {most} had it at once"
        found.append(
            Finding(
                kind, name, wait_s / run_s,
                f"Runs waited {seconds_text(wait_s)} for {name!r}, {share_text(wait_s / run_s)} of "
                f"their time, as the log itself says; {one}.",
                {"resource": name, "waited_s": wait_s, "holds": most},
            )
        )  # fmt: skip
    return found


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The most that held something at once for at least a twentieth of the time that it was held."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    held: dict[int, float] = {}
    level, last = 0, 0.0
    for at, step in edges:
        held[level] = held.get(level, 0.0) + at - last if level else 0.0
        level, last = level + step, at
    busy, above = sum(held.values()), 0.0
    for level in sorted(held, reverse=True):
        above += held[level]
        if above >= 0.05 * busy:
            return level
    return 0


def _slowed(measured: Measured) -> list[Finding]:
    """Run times that grow with the number of runs at once."""
    test = measured.slowed
    if test is None:
        return []
    run_s = measured.runs.work_s
    lost = max(0.0, run_s - sum(measured.alone)) / run_s
    if lost < SLOWED_SHARE:
        return []
    shape = measured.shape
    where = f"Runs of {test.step}" if test.step else "Runs"
    effect = (
        f"{where} that began beside {test.high:.1f} others took {times_text(test.ratio)} as long as "
        f"those beside {test.low:.1f} (rank correlation {test.rho:.2f} over {test.runs:,} runs, "
        f"p {_p_text(test.p)}"
        + (", input size taken out)." if test.sized else "; this log has no input sizes).")
    )
    values = {
        "ratio": round(test.ratio, 3), "rho": round(test.rho, 3), "p": test.p, "runs": test.runs,
        "levels": [round(test.low, 2), round(test.high, 2)], "size_taken_out": test.sized,
        "lost_share": round(lost, 4),
    }  # fmt: skip
    kind, more = Kind.CONTENTION, " By what, this log does not show."
    if shape is not None:
        values["points"] = [[round(one, 3) for one in point] for point in shape.points]
    if shape is not None and shape.holds is not None:
        values["holds"] = round(shape.holds, 2)
        kind, more = _held(measured, shape.holds, shape.top)
    if shape is not None and shape.worse:
        more += " Beyond that it gets worse: more at once finish less."
    return [Finding(kind, test.step, lost, effect + more, values)]


def _held(measured: Measured, holds: float, top: float) -> tuple[Kind, str]:
    """What serves so many at once."""
    count = max(1, round(holds))
    flat = f" With up to {top:.0f} at once no more gets done than {holds:.1f} runs alone would do"
    if _computes(measured, holds):
        return Kind.COMPUTE, f"{flat}, and they compute: {count} cores are busy."
    if holds < 1.35:
        return Kind.LOCK, f"{flat}: one at a time has something that all need (a lock, a row, a connection)."
    return Kind.POOL, (
        f"{flat}: {count} at a time have something that all need (a pool of {count}, {count} cores; or one "
        f"lock that is held for 1/{count} of each run)."
        + ("" if _cpu_known(measured) else " CPU seconds would tell cores from a pool.")
    )


def _cpu_known(measured: Measured) -> bool:
    return measured.log.known("cpu") >= CPU_KNOWN_MIN


def _computes(measured: Measured, holds: float) -> bool:
    """Whether runs compute nearly all of the time that they take alone."""
    if not _cpu_known(measured) or holds < 0.8:
        return False
    cpu = sum(one for row in measured.runs.rows if (one := measured.log.cpu[row]) == one)
    return cpu >= COMPUTES * sum(measured.alone)


def _one_at_a_time(measured: Measured) -> list[Finding]:
    serial = measured.serial
    if serial is None or not serial.spread_evenly:
        return []
    if any(one.answer is Answer.NOT_SLOWED for one in measured.tests[:1]):
        return []
    return [
        Finding(
            Kind.LOCK, measured.steps[0].step if len(measured.steps) == 1 else "",
            1 - 1 / serial.level,
            f"{serial.level} ran at once all the time, and their ends never came close to each other: "
            f"{share_text(serial.close)} of {serial.ends:,} distances are short, independent workers "
            f"have {share_text(serial.expected)}. One at a time has something that all need, for "
            f"{seconds_text(serial.each_s)} each time.",
            {
                "holds": 1, "level": serial.level, "close": round(serial.close, 4),
                "expected": round(serial.expected, 4), "each_s": serial.each_s,
            },
        )
    ]  # fmt: skip


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
                f"Between {gap.before} and {gap.after} nobody works on the job for "
                f"{seconds_text(gap.median_s)} (median of {gap.count:,} of {gap.of:,}): {what}{when}."
                + (" The next step's own time is in it: this log has no starts." if gap.with_service else ""),
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
                f"Work over makespan is {jobs.ratio:.2f} (median of {jobs.jobs:,} jobs of many steps): a "
                f"step runs {seconds_text(jobs.run_s)} and {seconds_text(jobs.each_s)} pass before the "
                "next; scheduling is the larger part, whatever runs beside it.",
                {"work_over_makespan": round(jobs.ratio, 4), "between_s": jobs.each_s, "run_s": jobs.run_s},
            )
        )  # fmt: skip
    elif turns is not None and turns.bound:
        found.append(
            Finding(
                Kind.OVERHEAD, "", 1 - turns.ratio,
                f"A worker needs {seconds_text(turns.each_s)} from one run to the next that already waits, "
                f"and a run takes {seconds_text(turns.run_s)} (medians, {turns.steps:,} turns).",
                {"work_over_makespan": round(turns.ratio, 4), "between_s": turns.each_s, "run_s": turns.run_s},
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
    if waiting.busy < BUSY_MIN:
        return [
            Finding(
                Kind.HELD_BACK, "", share * (1 - waiting.busy),
                f"Jobs wait {where} for {share_text(share)} of their time, and for "
                f"{share_text(1 - waiting.busy)} of that workers are free: prefetch, an ETA, a rate limit or "
                "routing holds them back.",
                values,
            )
        ]  # fmt: skip
    found = [
        Finding(
            Kind.QUEUEING, "", share,
            f"Jobs wait {where} for {share_text(share)} of their time (p95 "
            f"{seconds_text(waiting.p95_s)}) while all {measured.slots} workers are busy"
            + (": what slows the runs fills the queue." if shared else "."),
            values,
        )
    ]  # fmt: skip
    if not shared and _cpu_known(measured):
        cpu = sum(one for row in measured.runs.rows if (one := measured.log.cpu[row]) == one)
        if cpu < STALLS * run_s:
            found.append(
                Finding(
                    Kind.IO_STALL, "", share * (1 - cpu / run_s),
                    f"The busy workers compute {share_text(cpu / run_s)} of their time; the rest they wait "
                    "for somebody else's answer: more runs at once on the same machine cost little.",
                    {"cpu_share": round(cpu / run_s, 4)},
                )
            )  # fmt: skip
        elif cpu >= COMPUTES * run_s:
            found.append(
                Finding(
                    Kind.COMPUTE, "", share * cpu / run_s,
                    f"The busy workers compute {share_text(cpu / run_s)} of their time: more runs at once "
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
            f"{top:,} of {len(taken):,} runs take {share_text(share)} of all run time; the longest "
            f"{seconds_text(taken[-1])}, the median {seconds_text(middle)}. No number of workers makes the "
            "longest shorter.",
            {"top_share": round(share, 4), "top_runs": top, "longest_s": taken[-1], "median_s": middle},
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
                f"{share_text(failed / rows)} of the runs fail.", {"failed_share": round(failed / rows, 4)},
            )
        )  # fmt: skip
    return found
