"""Five ways side by side: what each gains, tolerates, costs, breaks first,
loses on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.breaks import breaks_first, lost_on_the_way_back
from rollout.audit.contention import Answer
from rollout.audit.findings import SHARED, Finding, Kind
from rollout.audit.measured import Measured
from rollout.audit.ways import Way
from rollout.figures import seconds_text


@dataclass(frozen=True, slots=True)
class Line:
    """One way out, in the words of a comparison.

    Attributes:
        way: Its name.
        gain: What it would gain at most here.
        tolerance: Whether it fits what latency the user tolerates.
        contention: What the contention of this log makes of it.
        cost: What it costs to scale.
        breaks: What breaks first.
        back: What is lost on the way back to the old path.
    """

    way: str
    gain: str
    tolerance: str
    contention: str
    cost: str
    breaks: str
    back: str


_COSTS = {
    "sequential": "nothing; a faster machine",
    "barriers": "as many workers as the widest level",
    "micro-batches": "a worker a stage, more at the slowest",
    "graph": "as many workers as run at once",
    "parallel": "a worker and a connection for each job at once",
}
"""Each way out and what it costs to scale, which follows from what it is."""


def table_of(
    measured: Measured, findings: Sequence[Finding], ways: Sequence[Way], tolerates_s: float | None
) -> list[Line]:
    """One line for each of the five ways."""
    shared = next((one for one in findings if one.kind in SHARED), None)
    by_name = {one.name: one for one in ways}
    return [
        Line(
            name, gain_text(by_name[name]), _tolerance(name, by_name[name], measured, tolerates_s),
            _contention(name, measured, shared), cost, breaks_first(name, measured, shared),
            lost_on_the_way_back(name, measured),
        )
        for name, cost in _COSTS.items()
    ]  # fmt: skip


def gain_text(way: Way) -> str:
    """The bound in a cell."""
    if way.high is None:
        return "not in this log"
    low, high = (f"{one:.1f}" for one in (way.low or way.high, way.high))
    if low != high:
        return f"{low} to {high} x"
    return f"{high} x" if way.high >= 0.05 else "under 0.1 x"


def _tolerance(name: str, way: Way, measured: Measured, tolerates_s: float | None) -> str:
    if tolerates_s is None:
        return "say it: --tolerates 10s"
    step = max(
        (one.p95_run_s for one in measured.steps if one.p95_run_s == one.p95_run_s), default=0.0
    )
    cycle = step + (measured.waiting.p95_s if measured.waiting else 0.0)
    best = cycle / way.high if way.high else cycle
    if best <= tolerates_s:
        return f"fits: {seconds_text(best)} (p95)"
    return f"{seconds_text(best)} (p95), not {seconds_text(tolerates_s)}"


def _contention(name: str, measured: Measured, shared: Finding | None) -> str:
    if name == "sequential":
        return "none: one at a time"
    if shared is None:
        told = measured.clock and measured.tests and measured.tests[0].answer is Answer.NOT_SLOWED
        return "none found" if told else "this log cannot say"
    if shared.kind is Kind.LOCK:
        return "all of it: one at a time"
    holds = shared.values.get("holds")
    return (
        f"from {holds:.0f} at once on"
        if isinstance(holds, (int, float))
        else "runs slow each other"
    )
