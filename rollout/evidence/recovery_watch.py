"""Revert on recovery: the concurrent path heals much more slowly than legacy did.

Source: Shin, Ramdas & Rinaldo 2024, e-detectors; evidence method, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import ClassVar

from rollout.evidence.errors import BadDuration
from rollout.evidence.revert_test import Spanned
from rollout.evidence.single_path import SinglePathProcess, SinglePathState
from rollout.evidence.stored import Json, read_flag, read_object
from rollout.evidence.verdict import Finding, Verdict

SLOW_FACTOR = 3.0
"""A recovery is slow when it takes more than this many legacy medians."""

SLOW_SHARE_MAX = 0.05
"""Up to this share of slow recoveries is no alarm."""

REVERT_ALPHA = 0.003
"""Chance of a false revert by this test in 28 days."""

PROCESS = SinglePathProcess()


def is_slow(concurrent_s: float, legacy_median_s: float) -> bool:
    """Say whether a recovery took more than three legacy medians; raises BadDuration."""
    if not (isfinite(concurrent_s) and concurrent_s >= 0 and 0 < legacy_median_s < float("inf")):
        raise BadDuration(
            "recovery times must be finite, and the legacy median positive",
            (concurrent_s, legacy_median_s),
            "leave out what was not measured",
        )
    return concurrent_s > SLOW_FACTOR * legacy_median_s


@dataclass(frozen=True, slots=True)
class RecoveryWatch:
    """The state of the test: a value, about 200 bytes of JSON."""

    METRIC: ClassVar[str] = "recovery_watch"

    slow: SinglePathState
    failed: bool = False
    latched: bool = False
    alpha: float = REVERT_ALPHA

    @classmethod
    def fresh(cls, alpha: float = REVERT_ALPHA) -> RecoveryWatch:
        """Begin a window; call `change_scope` when its first step begins."""
        return cls(PROCESS.fresh(), alpha=alpha)

    def change_scope(self, prior: float = 1.0) -> RecoveryWatch:
        """Begin a step."""
        return replace(self, slow=self.slow.change_scope())

    @property
    def statistic(self) -> float:
        """The evidence of slow recoveries, >= 0."""
        return PROCESS.statistic(self.slow)

    def observe(
        self, recoveries: int, slow: int, tick_s: float, pace: float = 1.0
    ) -> RecoveryWatch:
        """Take in the recoveries of one tick, most often none; raises EvidenceError."""
        return self._after([(recoveries, slow, tick_s)], pace)

    def _after(self, ticks: Sequence[tuple[int, int, float]], pace: float) -> RecoveryWatch:
        after, statistics = PROCESS.observe_all(self.slow, ticks, SLOW_SHARE_MAX, pace)
        reached = max(statistics, default=0.0) >= 1.0 / self.alpha
        return RecoveryWatch(after, self.failed, self.latched or reached, self.alpha)

    def fail(self) -> RecoveryWatch:
        """Say that a job was lost, or the path had not recovered at the hard cap: revert."""
        return replace(self, failed=True, latched=True)

    def take_in(
        self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float
    ) -> RecoveryWatch:
        """Take in windows, as every revert test does: time passes, jobs tell nothing."""
        return self._after([(0, 0, span_s) for _, span_s in windows], pace)

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say what the test says now."""
        n, k, limit = self.slow.n, self.slow.k, 1.0 / self.alpha
        detectable = PROCESS.detectable(n, SLOW_SHARE_MAX, limit)
        if self.failed:
            verdict = Verdict.REGRESS
            sentence = "A job was lost, or the concurrent path did not recover at all."
        elif self.latched:
            verdict = Verdict.REGRESS
            sentence = f"{k} of {n} recoveries took over {SLOW_FACTOR:g} legacy medians."
        elif detectable is None:
            verdict = Verdict.INSUFFICIENT
            sentence = f"{n} recoveries would not have been an alarm even if all were slow."
        else:
            verdict = Verdict.PASS
            sentence = f"{k} of {n} recoveries were slow, which is no alarm."
        return Finding(self.METRIC, verdict, self.statistic, limit, n, 0, detectable, sentence)

    def to_json(self) -> Json:
        """Give a plain object."""
        return {"slow": self.slow.to_json(), "failed": self.failed, "latched": self.latched}

    @classmethod
    def from_json(cls, payload: Json, alpha: float = REVERT_ALPHA) -> RecoveryWatch:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, ["slow", "failed", "latched"])
        return cls(
            PROCESS.from_json(stored["slow"]),
            read_flag(stored["failed"]),
            read_flag(stored["latched"]),
            alpha,
        )
