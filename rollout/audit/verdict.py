"""The verdict: one sentence with its reason, and the next command to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rollout.audit.contention import Answer
from rollout.audit.diagnose import FINISHED_MIN
from rollout.audit.findings import SHARED, Finding, Kind
from rollout.audit.growth import Growth
from rollout.audit.job_log import DAY_S
from rollout.audit.lacks import OVERLAP
from rollout.audit.measured import Measured
from rollout.audit.next_command import audit_again, look_inside, plan_command, record_command
from rollout.audit.shared import lost_share
from rollout.audit.ways import NOTHING, Way
from rollout.figures import seconds_text, share_text, times_text


class Advice(StrEnum):
    """What to do."""

    STAY = "stay as it is"
    """Nothing is jammed."""
    UNLOCK = "fix the lock or pool"
    """Before anything else: more workers get no more done."""
    HARDWARE = "buy hardware"
    """The cores are the limit."""
    HAND_OFF = "close the hand-off"
    """No code is slow: somebody or some hour is waited for."""
    BATCH = "batch the steps"
    """Steps are too small for what starting them costs."""
    SPLIT = "split the few huge runs"
    """A few runs take most of the time."""
    PARALLEL = "run more at once"
    """Jobs wait for busy workers, and runs do not slow each other down."""
    BARRIERS = "run the steps with barriers"
    """Levels of steps beside each other gain most of what there is."""
    GRAPH = "run the steps as a graph"
    """Each step as soon as what it needs is there."""
    CHAIN = "run the chain in micro-batches"
    """Stages beside each other on parts of the input."""
    RELEASE = "release what is held back"
    """Workers are free and jobs wait: settings, not capacity."""
    MEND = "mend the failures first"
    """Doing more at once of what fails is no gain."""
    MEASURE = "not enough to say"
    """The log does not carry a verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        advice: In a few words.
        healthy: Whether nothing is jammed.
        sentence: One sentence with its reason.
        next_command: What to type next.
        first: The step to move first, by its share of time and failures; "" for none.
    """

    advice: Advice
    healthy: bool
    sentence: str
    next_command: str
    first: str


_ADVICE = {
    Kind.LOCK: Advice.UNLOCK,
    Kind.POOL: Advice.UNLOCK,
    Kind.CONTENTION: Advice.UNLOCK,
    Kind.COMPUTE: Advice.HARDWARE,
    Kind.HAND_OFF: Advice.HAND_OFF,
    Kind.OVERHEAD: Advice.BATCH,
    Kind.SKEW: Advice.SPLIT,
    Kind.QUEUEING: Advice.PARALLEL,
    Kind.IO_STALL: Advice.PARALLEL,
    Kind.HELD_BACK: Advice.RELEASE,
    Kind.RETRIES: Advice.MEND,
    Kind.FAILURES: Advice.MEND,
}
"""What each kind asks for."""
_STALLED = 0.5
SHORT_S = 20 * 3600.0
"""A log of less says what comes in an hour of it, and not in a day with its night."""


def verdict_of(
    measured: Measured, findings: Sequence[Finding], ways: Sequence[Way], growth: Growth | None,
    tolerates_s: float | None,
) -> Verdict:  # fmt: skip
    """Weigh findings and ways."""
    verdict = _weighed(measured, findings, ways, growth, tolerates_s)
    span_s = measured.runs.span_s if len(measured.runs) else DAY_S
    if span_s < SHORT_S and " --jobs-per-day " in verdict.next_command:
        short = f" The jobs a day below take these {seconds_text(span_s)} for the whole day."
        verdict = replace(verdict, sentence=verdict.sentence + short)
    return verdict


def _weighed(
    measured: Measured, findings: Sequence[Finding], ways: Sequence[Way], growth: Growth | None,
    tolerates_s: float | None,
) -> Verdict:  # fmt: skip
    first = first_step(measured)
    source = " ".join(one.given or one.name for one in measured.log.captures[:4]) or "FILE"
    if findings:
        return _jammed(measured, findings, ways, first, source, tolerates_s)
    if measured.doubt is not None and measured.finished >= FINISHED_MIN:
        return Verdict(
            Advice.MEASURE, False,
            f"Not enough to say {OVERLAP}: {measured.doubt.because}.",
            record_command(source), first,
        )  # fmt: skip
    if measured.comparison is not None:
        both = measured.comparison
        return Verdict(
            Advice.PARALLEL if both.bought > 0.1 else Advice.MEASURE, False,
            f"{times_text(both.times)} the concurrency bought {share_text(both.bought)}, and the "
            "same "
            f"runs took {times_text(both.longer)} as long: measure at more numbers of workers "
            "before "
            "you buy.", audit_again(source), first,
        )  # fmt: skip
    if measured.finished < FINISHED_MIN:
        return Verdict(
            Advice.MEASURE, False,
            f"Not enough to say: {measured.finished} finished runs, {FINISHED_MIN} are needed.",
            record_command(source), first,
        )  # fmt: skip
    if not len(measured.runs):
        return Verdict(
            Advice.MEASURE, False,
            "Not enough to say: no run has both a start and an end, so waiting and service "
            "cannot be told "
            "apart.", record_command(source), first,
        )  # fmt: skip
    best = _best_of_graph(ways)
    if best is not None:
        advice = {"barriers": Advice.BARRIERS, "graph": Advice.GRAPH}[best.name]
        return Verdict(
            advice, False,
            f"Steps wait for each other and not for workers: {best.name} would be "
            f"{times_text(best.high or 1)} "
            f"as fast ({best.sentence}).", plan_command(measured, first), first,
        )  # fmt: skip
    if not measured.clock:
        return _one_trace(measured, source, first)
    return _healthy(measured, growth, source, first)


def _jammed(
    measured: Measured, findings: Sequence[Finding], ways: Sequence[Way], first: str, source: str,
    tolerates_s: float | None,
) -> Verdict:  # fmt: skip
    main = _main(findings)
    advice = _ADVICE[main.kind]
    waiting = measured.waiting
    if (
        main.kind is Kind.QUEUEING
        and tolerates_s is not None
        and waiting
        and waiting.p95_s <= tolerates_s
    ):
        return Verdict(
            Advice.STAY, True,
            f"Jobs wait up to {seconds_text(waiting.p95_s)} (p95), and "
            f"{seconds_text(tolerates_s)} is "
            "tolerated: nothing has to change.", audit_again(source), first,
        )  # fmt: skip
    gain = _gain(main, ways)
    # "buy hardware" is one way out and "run more at once" another: the second stays a scale test
    # where the log could not show whether runs slow each other down.
    unknown = (
        main.kind is Kind.QUEUEING
        and measured.tests
        and measured.tests[0].answer is Answer.TOO_LITTLE
    )
    more = (
        " Whether runs slow each other down this log cannot say: measure that first."
        if unknown
        else ""
    )
    sentence = f"{_HEAD[advice]}: {main.reason}.{gain}{more}"
    others = [one for one in findings if one is not main]
    if others:
        sentence += (
            " Also found: " + ", ".join(dict.fromkeys(one.kind.value for one in others)) + "."
        )
    command = {
        Advice.PARALLEL: plan_command(measured, first),
        Advice.UNLOCK: look_inside(source, main)
        if measured.clock
        else f"rollout audit {source} MORE-CAPTURES",
        Advice.HARDWARE: plan_command(measured, first),
        Advice.BATCH: plan_command(measured, first),
    }.get(advice, audit_again(source))
    return Verdict(advice, False, sentence, command, first)


_HEAD = {
    Advice.UNLOCK: "Fix what all runs share before you add workers",
    Advice.HARDWARE: "The cores are the limit",
    Advice.HAND_OFF: "No code is slow here, a hand-off is",
    Advice.BATCH: "Batch the steps",
    Advice.SPLIT: "Split the few huge runs",
    Advice.PARALLEL: "Run more at once",
    Advice.RELEASE: "Release what is held back",
    Advice.MEND: "Mend the failures first",
}


def _main(findings: Sequence[Finding]) -> Finding:
    """The finding that decides: a shared thing unless something else takes most of the time."""
    largest = max(findings, key=lambda one: one.share)
    shared = next((one for one in findings if one.kind in SHARED), None)
    if largest.kind is Kind.HAND_OFF and (shared is None or largest.share >= _STALLED):
        return largest
    if shared is not None:
        return shared
    order = (Kind.HAND_OFF, Kind.OVERHEAD, Kind.SKEW)
    cause = next(
        (one for kind in order for one in findings if one.kind is kind and one.share >= 0.3), None
    )
    return cause or next((one for one in findings if one.kind is not Kind.IO_STALL), largest)


def _gain(main: Finding, ways: Sequence[Way]) -> str:
    name = {Kind.QUEUEING: "parallel", Kind.COMPUTE: "hardware"}.get(main.kind)
    name = "unlock" if main.kind in SHARED and main.kind is not Kind.COMPUTE else name
    way = next((one for one in ways if one.name == name and one.high is not None), None)
    if way is None or way.high is None or way.high < NOTHING:
        return ""
    return f" Gain: {range_text(way)} ({way.of})."


def range_text(way: Way) -> str:
    """What a way out gains: one figure where both ends of its range say the same."""
    high = times_text(way.high or 1)
    if way.low is None or way.low < NOTHING:
        return f"at most {high}"
    low = times_text(way.low)
    return high if low == high else f"{low.removesuffix(' times')} to {high}"


def _best_of_graph(ways: Sequence[Way]) -> Way | None:
    """Barriers where they gain nearly as much as a graph: they are easier to run."""
    by_name = {one.name: one for one in ways if one.name in ("barriers", "graph")}
    graph, barriers = by_name.get("graph"), by_name.get("barriers")
    if graph is None or graph.high is None or graph.low is None or graph.low < 1.5:
        return None
    if barriers is not None and barriers.high is not None and barriers.high >= 0.9 * graph.high:
        return barriers
    return graph


def _one_trace(measured: Measured, source: str, first: str) -> Verdict:
    point = measured.focus or measured.points[0]
    critical = point.critical_path_s
    about = f"{point.at_once:.1f} runs at once on {point.slots} workers"
    if critical is not None:
        about += (
            f"; its critical path of {seconds_text(critical)} was read under that load and is "
            "longer for it, "
            "so it does not say that nothing is to be gained"
        )
    return Verdict(
        Advice.MEASURE, False,
        f"Not enough to say: one capture shows {about}. A second one with a quarter of the "
        "workers tells "
        "whether runs slow each other down.", f"rollout audit {source} FEWER-WORKERS.json", first,
    )  # fmt: skip


def _healthy(measured: Measured, growth: Growth | None, source: str, first: str) -> Verdict:
    reasons = []
    waiting = measured.waiting
    if waiting is not None:
        reasons.append(f"jobs wait {seconds_text(waiting.total_s / waiting.count)} on average")
    test = measured.tests[0] if measured.tests else None
    if test is not None and test.answer is Answer.NOT_SLOWED:
        reasons.append("runs do not slow each other down")
    if measured.slowed is not None:
        reasons.append(
            f"runs slow each other down, which costs {share_text(lost_share(measured))} of the run "
            "time today: measure before you add workers"
        )
    if test is not None and test.by_size:
        reasons.append("what looks like it is input size")
    if measured.utilisation == measured.utilisation:
        reasons.append(f"workers are busy {share_text(measured.utilisation)} of the time")
    if growth is not None and growth.on is not None:
        return Verdict(
            Advice.PARALLEL, False,
            f"Nothing is jammed today, but arrivals pass what {measured.slots} workers can do on "
            f"{growth.on:%Y-%m-%d}.", plan_command(measured, first), first,
        )  # fmt: skip
    because = "; ".join(reasons) or "no bottleneck was found"
    return Verdict(
        Advice.STAY,
        True,
        f"Nothing is jammed, stay as it is: {because}.",
        audit_again(source),
        first,
    )


def first_step(measured: Measured) -> str:
    """The step to move first: the largest share of time, failures counted on top."""

    def weight(name: str) -> float:
        step = measured.step(name)
        return (
            0.0 if step is None else sum(one.total_s for one in step.segments) * (1 + step.failed)
        )

    return max((one.step for one in measured.steps), key=weight, default="")
