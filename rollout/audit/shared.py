"""What runs share and wait for: a lock, a pool, the cores; four ways in which a log shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollout.audit.contention import ONE_MAX, Answer
from rollout.audit.findings import Finding, Kind
from rollout.audit.measured import Measured
from rollout.figures import seconds_text, share_text, times_text

RESOURCE_SHARE = 0.1
SLOWED_SHARE = 0.1
"""Slowing that costs less of the run time jams nothing today; the verdict mentions it."""
COMPUTES = 0.7
CPU_KNOWN_MIN = 0.5


def compared_captures(measured: Measured) -> list[Finding]:
    """Captures at different concurrency: whether the same runs took longer beside more others."""
    both = measured.comparison
    if both is None or both.longer < 1.2:
        return []
    few, many = both.few, both.many
    bought = (
        f"bought {share_text(both.bought)}"
        if both.bought > 0
        else f"cost {share_text(-both.bought)}"
    )
    values: dict[str, Any] = {
        "times_the_concurrency": round(both.times, 3), "bought": round(both.bought, 4),
        "work_few_s": few.work_s, "work_many_s": many.work_s, "longer": round(both.longer, 3),
        "longer_each": round(both.longer_each, 3),
    }  # fmt: skip
    evidence = (
        f"{times_text(both.times)} the concurrency ({few.slots} to {many.slots}) {bought} of the "
        f"time ({seconds_text(few.execution_s)} to {seconds_text(many.execution_s)}): runs slow "
        "each other "
        f"down. The same {both.shared} runs took {seconds_text(few.work_s)} in sum beside few "
        "others and "
        f"{seconds_text(many.work_s)} beside many."
    )
    if few.critical_path_s and many.critical_path_s:
        evidence += (
            f" The critical path grew from {seconds_text(few.critical_path_s)} to "
            f"{seconds_text(many.critical_path_s)} with it: read under contention, it is "
            "inflated and no bound."
        )
        values |= {"critical_few_s": few.critical_path_s, "critical_many_s": many.critical_path_s}
    reason = (
        f"{times_text(both.times)} the concurrency ({few.slots} to {many.slots}) {bought} of the "
        "time, because runs slow each other down"
    )
    return [Finding(Kind.CONTENTION, "", 1 - 1 / both.longer, reason, evidence, values)]


def stated_waits(measured: Measured) -> list[Finding]:
    """Waits that the log states by itself."""
    log = measured.log
    waited: dict[int, float] = {}
    holds: dict[int, list[tuple[float, float]]] = {}
    for row in measured.runs.rows:
        resource, wait = log.resource[row], log.waited[row]
        if resource >= 0 and wait == wait:
            waited[resource] = waited.get(resource, 0.0) + wait
            holds.setdefault(resource, []).append(
                (min(log.started[row] + wait, log.ended[row]), log.ended[row])
            )
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
                f"runs wait for {name!r} for {share_text(wait_s / run_s)} of their time, and {one}",
                f"Runs waited {seconds_text(wait_s)} for {name!r}, {share_text(wait_s / run_s)} of "
                f"their time, as the log itself says; {one}.",
                {"resource": name, "waited_s": wait_s, "holds": most},
            )
        )  # fmt: skip
    return found


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The most that held something at once, for at least a twentieth of the time it was held."""
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


def slowed_runs(measured: Measured) -> list[Finding]:
    """Run times that grow with the number of runs at once."""
    test = measured.slowed
    if test is None:
        return []
    lost = lost_share(measured)
    if lost < SLOWED_SHARE:
        return []
    shape = measured.shape
    where = f"Runs of {test.step}" if test.step else "Runs"
    effect = (
        f"{where} that began beside {test.high:.1f} others took {times_text(test.ratio)} as long "
        "as "
        f"those beside {test.low:.1f} (rank correlation {test.rho:.2f} over {test.runs:,} runs, "
        f"p {_p_text(test.p)}"
        + (", input size taken out)." if test.sized else "; this log has no input sizes).")
    )
    values: dict[str, Any] = {
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
    beside = "another" if round(test.high) <= 1 else f"{test.high:.0f} others"
    reason = f"runs beside {beside} take {times_text(test.ratio)} as long"
    if kind is Kind.COMPUTE:
        reason = f"the cores are busy, and {reason}"
    elif kind is not Kind.CONTENTION:
        count = max(1, round(float(values["holds"])))
        having = "one run at a time has" if count == 1 else f"{count} runs at a time have"
        reason = f"{having} something that all need, and {reason}"
    return [Finding(kind, test.step, lost, reason, effect + more, values)]


def lost_share(measured: Measured) -> float:
    """Share of all run time that runs would not take alone."""
    run_s = measured.runs.work_s
    return max(0.0, run_s - sum(measured.alone)) / run_s if run_s > 0 else 0.0


def _p_text(p: float) -> str:
    return "below 1e-6" if p < 1e-6 else f"{p:.1g}"


def _held(measured: Measured, holds: float, top: float) -> tuple[Kind, str]:
    """What serves so many at once."""
    count = max(1, round(holds))
    flat = f" With up to {top:.0f} at once no more gets done than {holds:.1f} runs alone would do"
    if _computes(measured, holds):
        return Kind.COMPUTE, f"{flat}, and they compute: {count} cores are busy."
    if holds < ONE_MAX:
        return (
            Kind.LOCK,
            f"{flat}: one at a time has something that all need (a lock, a row, a connection).",
        )
    return Kind.POOL, (
        f"{flat}: {count} at a time have something that all need (a pool of {count}, {count} "
        "cores; or one "
        f"lock that is held for 1/{count} of each run)."
        + ("" if cpu_known(measured) else " CPU seconds would tell cores from a pool.")
    )


def cpu_known(measured: Measured) -> bool:
    return measured.log.known("cpu") >= CPU_KNOWN_MIN


def _computes(measured: Measured, holds: float) -> bool:
    """Whether runs compute nearly all of the time that they take alone."""
    if not cpu_known(measured) or holds < 0.8:
        return False
    cpu = sum(one for row in measured.runs.rows if (one := measured.log.cpu[row]) == one)
    return cpu >= COMPUTES * sum(measured.alone)


def one_at_a_time(measured: Measured) -> list[Finding]:
    serial = measured.serial
    if serial is None or not serial.spread_evenly:
        return []
    if any(one.answer is Answer.NOT_SLOWED for one in measured.tests[:1]):
        return []
    return [
        Finding(
            Kind.LOCK, measured.steps[0].step if len(measured.steps) == 1 else "",
            1 - 1 / serial.level,
            f"one run at a time has something that all {serial.level} need",
            f"{serial.level} ran at once all the time, and their ends never came close to each "
            "other: "
            f"{share_text(serial.close)} of {serial.ends:,} distances are short, independent "
            "workers "
            f"have {share_text(serial.expected)}. One at a time has something that all need, for "
            f"{seconds_text(serial.each_s)} each time.",
            {
                "holds": 1, "level": serial.level, "close": round(serial.close, 4),
                "expected": round(serial.expected, 4), "each_s": serial.each_s,
            },
        )
    ]  # fmt: skip
