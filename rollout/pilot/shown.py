"""How far each proof of a step is, for people: a sentence and a share, no statistic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.evidence.budget_proof import SHADOW_FAILED, Event
from rollout.evidence.stored import Json
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import HoldKind
from rollout.pilot.proofs import RECOVERY

_NEARLY = 0.99
"""What is not proven is never shown as whole."""


WORDS = {
    Event.FAILED.metric: "failures",
    Event.LATE.metric: "late jobs",
    Event.SLOW.metric: "slow jobs",
    RECOVERY: "recovery",
    SHADOW_FAILED: "failures",
}
"""What each proof is about, in a person's word."""

_OTHERS = {
    "error_rate": "failures",
    "fast_path": "failures",
    "cycle_time": "cycle times",
    "recovery_watch": "recovery",
    "sample_ratio": "the split",
    HoldKind.WAY_BACK: "the way back",
    HoldKind.JOBS_MIN: "jobs",
}


def word_of(what: str) -> str:
    """Name a metric or a hold as people do."""
    return WORDS.get(what) or _OTHERS.get(what, what)


@dataclass(frozen=True, slots=True)
class Shown:
    """One proof.

    Attributes:
        metric: Which one.
        sentence: What is shown so far, in jobs a week.
        share: How much of the jobs that it takes at these rates have come, 0..1; 1 is proven.
    """

    metric: str
    sentence: str
    share: float

    @property
    def word(self) -> str:
        """What it is about."""
        return WORDS[self.metric]

    def to_json(self) -> Json:
        """Give a plain object."""
        return {"metric": self.metric, "sentence": self.sentence, "share": self.share}


def shown(findings: Iterable[Finding]) -> tuple[Shown, ...]:
    """Give the proofs among these findings, in their order."""
    return tuple(
        Shown(one.metric, one.sentence, _share(one)) for one in findings if one.metric in WORDS
    )


def _share(finding: Finding) -> float:
    """A score grows with the root of the jobs; the wealth of pairs grows by a factor each."""
    if finding.verdict is Verdict.PASS:
        return 1.0
    if finding.value is None:
        return 0.0
    if finding.metric == RECOVERY:
        return max(0.0, min(_NEARLY, finding.value / finding.limit))
    if finding.value >= 0.0 or finding.limit >= 0.0:
        return 0.0
    return min(_NEARLY, (finding.value / finding.limit) ** 2)
