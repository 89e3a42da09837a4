"""The audit in sections: what terminal, Markdown and HTML all draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollout.audit.audit import Audit
from rollout.audit.contention import Answer
from rollout.audit.gaps import Gap
from rollout.audit.segments import Part
from rollout.audit.table import gain_text
from rollout.figures import date_text, seconds_text, share_text, times_text

STEPS_MAX = 12
"""Steps that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Section:
    """A title, sentences and perhaps a table, whose first row is its head."""

    title: str
    sentences: Sequence[str] = ()
    table: Sequence[Sequence[str]] = field(default=())


def sections_of(answer: Audit) -> list[Section]:
    """All sections behind the verdict, in the order in which they are read, without empty ones."""
    every = [
        _input(answer), _where(answer), _bottlenecks(answer), _captures(answer),
        _contention(answer),
        _ways(answer), _table(answer), _deadline(answer), _inside(answer), _lacks(answer),
        _problems(answer),
    ]  # fmt: skip
    return [one for one in every if one.sentences or one.table]


def _input(answer: Audit) -> Section:
    measured = answer.measured
    log, runs = measured.log, measured.runs
    kinds = ", ".join(dict.fromkeys(one.kind for one in log.captures))
    sentences = [
        f"{len(measured.rows):,} runs of {measured.jobs:,} jobs from {len(log.captures)} "
        f"input(s): {kinds}."
    ]
    if len(runs):
        about = (
            f"{measured.slots} workers, busy {share_text(measured.utilisation)} of "
            f"{seconds_text(runs.span_s)}"
        )
        if measured.clock:
            about += f", {date_text(runs.begins)} to {date_text(runs.finishes)}"
        sentences.append(about + ".")
    if log.dropped:
        sentences.append(
            f"{log.dropped:,} older runs are counted for the arrivals and not looked at otherwise."
        )
    if answer.series and answer.series.saturated_hours:
        hours = ", ".join(f"{hour:02d}" for hour in answer.series.saturated_hours)
        sentences.append(f"Saturated (9 of 10 workers busy) in the hours from {hours} UTC.")
    return Section("Input", sentences)


def _where(answer: Audit) -> Section:
    measured = answer.measured
    total = measured.total_s
    rows = [("step", "part of the way", "runs", "sum", "share", "median", "p95")]
    for step in measured.steps[:STEPS_MAX]:
        rows.extend(
            (
                step.step, part.part.value, f"{part.count:,}", seconds_text(part.total_s),
                share_text(part.total_s / total) if total > 0 else "", seconds_text(part.median_s),
                seconds_text(part.p95_s),
            )
            for part in step.segments
            if not (part.part is Part.RESOURCE and part.total_s == 0)
        )  # fmt: skip
    rows.extend(
        (
            f"{gap.before} → {gap.after}", "hand-off, nobody works", f"{gap.count:,}",
            seconds_text(gap.total_s), share_text(gap.total_s / total), seconds_text(gap.median_s),
            "",
        )
        for gap in measured.hand_offs[:STEPS_MAX]
    )  # fmt: skip
    sentences = [_pause(gap) for gap in measured.gaps if not gap.hand_off][:STEPS_MAX]
    if len(measured.steps) > STEPS_MAX:
        sentences.append(f"{len(measured.steps) - STEPS_MAX} more steps take less time each.")
    for step in measured.steps[:STEPS_MAX]:
        if step.cpu_share is not None:
            sentences.append(f"{step.step} computes {share_text(step.cpu_share)} of its run time.")
        if step.failed or step.retried:
            sentences.append(
                f"{step.step}: {share_text(step.failed)} of the runs fail, "
                f"{share_text(step.retried)} of the "
                "attempts ask to be run again."
            )
    return Section("Where the time goes", sentences, rows if len(rows) > 1 else ())


def _pause(gap: Gap) -> str:
    if gap.with_service and gap.pause.value in ("regular", "irregular"):
        return (
            f"{gap.before} → {gap.after}: {seconds_text(gap.median_s)} from end to end (median of "
            f"{gap.count:,} of {gap.of:,}), waiting and the step itself together; in no sum."
        )
    kind = {
        "weeks": "more likely a deadline or a case that is opened again than a hand-off",
        "fixed term": "a fixed term that some rule sets",
        "exceptional": "far longer than this transition usually takes",
    }[gap.pause.value]
    return (
        f"{gap.before} → {gap.after}: {gap.count:,} of {gap.of:,} gaps are long (median "
        f"{seconds_text(gap.median_s)}, longest {seconds_text(gap.longest_s)}), {kind}; in no sum."
    )


def _bottlenecks(answer: Audit) -> Section:
    rows = [("kind", "where", "share", "evidence")]
    rows += [
        (one.kind.value, one.step or "all", share_text(one.share), one.evidence)
        for one in answer.findings
    ]
    if len(rows) == 1:
        none = "None was found." if answer.verdict.healthy else "None is named."
        return Section("Bottlenecks", [none])
    return Section("Bottlenecks", (), rows)


def _captures(answer: Audit) -> Section:
    measured = answer.measured
    if measured.comparison is None and measured.clock:
        return Section("Captures")
    rows = [
        (
            "capture",
            "workers",
            "wall",
            "compared part",
            "work in it",
            "at once",
            "critical path",
            "waited",
            "busy cores",
        )
    ]
    rows += [
        (
            one.name, str(one.slots), seconds_text(one.wall_s), seconds_text(one.execution_s),
            seconds_text(one.work_s), f"{one.at_once:.1f}",
            "" if one.critical_path_s is None else seconds_text(one.critical_path_s),
            f"{seconds_text(one.waited_s)} {one.resource}" if one.waited_s else "",
            "" if one.cores is None else f"{one.cores:.1f}",
        )
        for one in measured.points
    ]  # fmt: skip
    sentences = []
    both = measured.comparison
    if both is not None:
        few, many = both.few, both.many
        if few.phases and many.phases:
            sentences.append(
                f"The walls ({seconds_text(few.wall_s)} and {seconds_text(many.wall_s)}) hold "
                "phases that are "
                f"not compared: {_phases(few.phases, many.phases)}. The execution phase is what "
                "is compared."
            )
        sentences.append(
            f"Each run by itself took {times_text(both.longer_each)} as long (median), all "
            "together "
            f"{times_text(both.longer)}."
        )
        if len(both.points) < 5:
            sentences.append(
                f"{len(both.points)} load points fit no scalability law; five or six are needed."
            )
    if any(one.critical_path_s for one in measured.points):
        sentences.append(
            "A critical path is read from the run times of its capture: under contention it is "
            "inflated and "
            "is no bound of what can be gained."
        )
    return Section("Captures", sentences, rows)


def _phases(few: Sequence[object], many: Sequence[object]) -> str:
    def lengths(phases: Sequence[object]) -> dict[str, float]:
        return {one.name: one.ends - one.begins for one in phases}  # type: ignore[attr-defined]

    one, other = lengths(few), lengths(many)
    shared = [name for name in one if name in other and name != "Build artifacts"]
    largest = sorted(shared, key=lambda name: -max(one[name], other[name]))[:2]
    return ", ".join(
        f"{name} {seconds_text(one[name])} and {seconds_text(other[name])}" for name in largest
    )


def _contention(answer: Audit) -> Section:
    measured = answer.measured
    if not measured.clock:
        return Section("Do runs slow each other down?")
    rows = [
        ("step", "answer", "ratio", "beside others", "rank correlation", "p", "runs", "input size")
    ]
    rows += [
        (
            one.step or "all together", one.answer.value, f"{one.ratio:.2f}",
            f"{one.low:.1f} and {one.high:.1f}",
            f"{one.rho:.2f}", f"{one.p:.1g}", f"{one.runs:,}",
            "taken out" if one.sized else "unknown",
        )
        for one in measured.tests[:STEPS_MAX]
        if one.answer is not Answer.TOO_LITTLE
    ]  # fmt: skip
    sentences = [
        f"{one.step or 'All together'}: not enough to say, {one.why}."
        for one in measured.tests[:1]
        if one.answer is Answer.TOO_LITTLE
    ]
    if any(one.by_size for one in measured.tests):
        sentences.append("Run times look slowed beside others; input size alone explains it.")
    shape = measured.shape
    if shape is not None and measured.slowed is not None:
        speeds = ", ".join(f"{level:.0f}: {speed:.1f}" for level, speed, _ in shape.points[:10])
        sentences.append(
            f"Runs at once and what they get done, in runs that nobody slows: {speeds}."
        )
    return Section("Do runs slow each other down?", sentences, rows if len(rows) > 1 else ())


def _ways(answer: Audit) -> Section:
    rows = [("way", "gain at most", "of what", "rests on")]
    rows += [(one.name, gain_text(one), one.of, one.sentence) for one in answer.ways]
    return Section("Ways out, on the jobs of this log", (), rows)


def _table(answer: Audit) -> Section:
    head = (
        "way",
        "gain",
        "latency",
        "contention",
        "cost to scale",
        "breaks first",
        "lost on the way back",
    )
    rows = [head] + [
        (one.way, one.gain, one.tolerance, one.contention, one.cost, one.breaks, one.back)
        for one in answer.table
    ]
    return Section("Side by side", (), rows)


def _deadline(answer: Audit) -> Section:
    growth = answer.growth
    if growth is None:
        return Section(
            "The deadline",
            ["Fewer than two weeks of whole days: growth cannot be told."]
            if answer.measured.clock
            else (),
        )
    more, low, high = growth.more_a_day
    trend = (
        f"{growth.now_a_day:,.0f} jobs a day, {more:+.3g} a day more each day (95 %: {low:+.3g} "
        f"to {high:+.3g}), "
        f"over {growth.days} days; {answer.measured.slots} workers can do "
        f"{growth.capacity_a_day:,.0f} a day at "
        "these run times."
    )
    if growth.on is None:
        when = "Not within a year" + (
            f"; at the earliest on {growth.earliest}." if growth.earliest else "."
        )
    else:
        latest = growth.latest or "not within a year"
        when = (
            f"The backlog no longer drains from {growth.on} on (range "
            f"{growth.earliest or growth.on} to {latest})."
        )
    return Section("The deadline", [trend, when])


def _inside(answer: Audit) -> Section:
    stacks = answer.stacks
    if stacks is None or not stacks.samples:
        return Section("Inside the step")
    rows = [("what it does", "samples", "share")]
    rows += [
        (kind, f"{count:,}", share_text(count / stacks.samples))
        for kind, count in stacks.by_kind.most_common()
    ]
    top = [
        f"{frame} ({share_text(count / stacks.samples)})"
        for frame, count in stacks.top.most_common(5)
    ]
    return Section("Inside the step", [f"Most often innermost: {'; '.join(top)}."], rows)


def _lacks(answer: Audit) -> Section:
    sentences = [
        f"{_upper(one.what)}: {one.because}. It takes {one.tells}." for one in answer.lacks
    ]
    return Section("What this input cannot tell", sentences)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _problems(answer: Audit) -> Section:
    rows = [("what cannot be right", "count", "first places")]
    rows += [
        (what, f"{one.count:,}", ", ".join(one.where))
        for what, one in answer.measured.log.problems.items()
    ]
    return Section("Counted and left out", (), rows if len(rows) > 1 else ())
