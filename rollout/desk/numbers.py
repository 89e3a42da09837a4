"""The three numbers, old path against new, each with its verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rollout.desk.plain import Json
from rollout.figures import figures_text
from rollout.jobs.ports import CycleTally
from rollout.routing.decision import JobPath

if TYPE_CHECKING:  # what only waits for its judgement loads no statistics
    from rollout.desk.pending import Pending
    from rollout.evidence.verdict import Finding

_WORDS = {
    "regress": "worse",
    "error": "cannot be measured",
    "insufficient": "too little to know",
    "pass": "not worse",
}
"""Verdicts in words, the gravest first: several tests of one number say the gravest."""


@dataclass(frozen=True, slots=True)
class Number:
    """One of the three numbers.

    Attributes:
        what: `cycle time`, `error rate` or `recovery time`.
        old: The legacy path's, with its unit; "-" where nothing is known.
        new: The concurrent path's.
        verdict: Value of a `Verdict`; `unseen` before the first test.
        word: It in words.
        sentence: The gravest test's own sentence.
        n_old: Jobs (or drills) behind it, on the legacy path.
        n_new: The same on the concurrent path.
    """

    what: str
    old: str
    new: str
    verdict: str
    word: str
    sentence: str
    n_old: int
    n_new: int

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "what": self.what,
            "legacy": self.old,
            "concurrent": self.new,
            "verdict": self.verdict,
            "word": self.word,
            "sentence": self.sentence,
            "n_legacy": self.n_old,
            "n_concurrent": self.n_new,
        }


def three_numbers(pending: Pending | None, cycles: Sequence[CycleTally]) -> tuple[Number, ...]:
    """Put the three numbers together.

    Args:
        pending: What is judged now; None where nobody can tell.
        cycles: Cycle times of all committed jobs of the sub-pipeline, in buckets.
    """
    judged = None if pending is None else pending.made
    findings = () if judged is None else judged.findings
    old_s, new_s = (_median_s(cycles, path) for path in JobPath)
    n_old, n_new = (_jobs(cycles, path) for path in JobPath)
    rows = [
        _number("cycle time", "cycle", findings, _seconds(old_s), _seconds(new_s), n_old, n_new)
    ]
    seen = None if pending is None else pending.seen
    if seen is None:
        rows.append(_number("error rate", "error", findings, "-", "-", 0, 0))
        rows.append(_number("recovery time", "recovery", findings, "-", "-", 0, 0))
        return tuple(rows)
    failed = seen.totals.failures
    rows.append(
        _number(
            "error rate",
            "error",
            findings,
            _rate(failed.k_legacy, failed.n_legacy),
            _rate(failed.k_concurrent, failed.n_concurrent),
            failed.n_legacy,
            failed.n_concurrent,
        )
    )
    pairs = seen.pairs
    old, new = (
        (_seconds(median(one.legacy_s for one in pairs)),
         _seconds(median(one.concurrent_s for one in pairs)))
        if pairs
        else ("-", "-")
    )  # fmt: skip
    count = len(pairs)
    rows.append(_number("recovery time", "recovery", findings, old, new, count, count))
    return tuple(rows)


def _number(
    what: str, begins: str, findings: Sequence[Finding], old: str, new: str, n_old: int, n_new: int
) -> Number:
    order = list(_WORDS)
    mine = [one for one in findings if one.metric.startswith(begins)]
    if not mine:
        return Number(what, old, new, "unseen", "not judged yet", "", n_old, n_new)
    gravest = min(mine, key=lambda one: order.index(one.verdict.value))
    verdict = gravest.verdict.value
    return Number(what, old, new, verdict, _WORDS[verdict], gravest.sentence, n_old, n_new)


def _jobs(cycles: Sequence[CycleTally], path: JobPath) -> int:
    return sum(one.jobs for one in cycles if one.assigned_path is path)


def _median_s(cycles: Sequence[CycleTally], path: JobPath) -> float | None:
    """Seconds within which half of the jobs were committed, from the middle of a bucket."""
    mine = sorted((one for one in cycles if one.assigned_path is path), key=lambda one: one.le_s)
    half, counted, below = sum(one.jobs for one in mine) / 2, 0, 0.0
    for one in mine:
        counted += one.jobs
        if counted >= half and one.jobs:
            # The mean of the bucket's jobs is nearer to them than either of its edges.
            return max(below, one.sum_s / one.jobs)
        below = one.le_s
    return None


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 120 else f"{figures_text(value / 60)} min"


def _rate(failed: int, jobs: int) -> str:
    return "-" if not jobs else f"{100 * failed / jobs:.3g} %"
