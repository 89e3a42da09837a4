"""What one test says about one metric."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.evidence.stored import Json


class Verdict(Enum):
    """The four answers a test can give."""

    PASS = "pass"
    """The metric is within its limit, on enough jobs to know."""
    REGRESS = "regress"
    """The concurrent path is worse than its limit: revert."""
    INSUFFICIENT = "insufficient"
    """Too little was seen to know: hold."""
    ERROR = "error"
    """The measurement itself is broken: hold and look."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One test's answer with all its numbers, as it is stored and shown.

    Attributes:
        metric: Which test answered, such as `error_rate`.
        verdict: Its answer.
        value: The statistic; None when nothing could be computed.
        limit: What the statistic was held against.
        n_concurrent: Jobs (or drills) of the concurrent path behind it.
        n_legacy: The same on the legacy path.
        detectable: The smallest regression these samples would have shown, in the metric's own
            unit (a rate, a ratio); None when none would.
        sentence: The same in words, for the person on call.
    """

    metric: str
    verdict: Verdict
    value: float | None
    limit: float
    n_concurrent: int
    n_legacy: int
    detectable: float | None
    sentence: str

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "metric": self.metric,
            "verdict": self.verdict.value,
            "value": self.value,
            "limit": self.limit,
            "n_concurrent": self.n_concurrent,
            "n_legacy": self.n_legacy,
            "detectable": self.detectable,
            "sentence": self.sentence,
        }
