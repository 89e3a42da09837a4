"""Is the concurrent path slower than legacy was yesterday?

Jobs beyond yesterday's legacy median, and beyond its 95th percentile, are compared like failed ones
(`thresholds`). The thresholds of the concurrent path lie a little higher, which is the margin.

Source: evidence method, section 4; Shekhar & Ramdas (arXiv 2112.09162).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rollout.evidence.betting import Bet, Family, Margin
from rollout.evidence.counts import Counts, check_count
from rollout.evidence.detectable import detectable_rate
from rollout.evidence.errors import BadCounts
from rollout.evidence.process import BettingProcess, BettingState
from rollout.evidence.revert_test import Spanned
from rollout.evidence.stored import Json, read_flag, read_object
from rollout.evidence.thresholds import REVERT_SHIFT, slowdown
from rollout.evidence.verdict import Finding, Verdict

REVERT_ALPHA = 0.003
"""Chance of a false revert by this test in 28 days."""

MEDIAN = BettingProcess(
    tuple(Bet(Family.HALF, kappa, 0.25) for kappa in (0.03, 0.08, 0.2, 0.6)),
    Margin(),
    REVERT_ALPHA,
)
TAIL = BettingProcess(
    tuple(Bet(Family.RATIO, ratio, 0.25) for ratio in (1.15, 1.4, 2.0, 5.0)),
    Margin(),
    REVERT_ALPHA,
)


@dataclass(frozen=True, slots=True)
class CycleTime:
    """The state of the test: a value, about 700 bytes of JSON."""

    METRIC: ClassVar[str] = "cycle_time"

    median: BettingState
    tail: BettingState
    latched: bool = False
    alpha: float = REVERT_ALPHA

    @classmethod
    def fresh(cls, alpha: float = REVERT_ALPHA) -> CycleTime:
        """Begin a window; call `change_scope` when its first step begins."""
        return cls(MEDIAN.fresh(), TAIL.fresh(), False, alpha)

    def change_scope(self, prior: float = 1.0) -> CycleTime:
        """Begin a step: only jobs admitted from now on count.

        Args:
            prior: What shadow pairs say of it, by `paired_time.prior_factor`: over 1 that the
                concurrent path is slower, under 1 that it is not.
        """
        median, tail = self.median.change_scope(prior), self.tail.change_scope(prior)
        return replace(self, median=median, tail=tail)

    @property
    def statistic(self) -> float:
        """The evidence of harm, >= 0: the mean of the two tests, which keeps one alpha."""
        return (MEDIAN.statistic(self.median) + TAIL.statistic(self.tail)) / 2

    def observe(self, median: Counts, tail: Counts, tick_s: float, pace: float = 1.0) -> CycleTime:
        """Take in one tick.

        Args:
            median: Jobs and those slower than the median threshold, concurrent jobs shifted.
            tail: The same jobs, and those slower than the 95th percentile.
            tick_s: Seconds since the last tick.
            pace: As in `BettingProcess.observe`.

        Raises:
            BadCounts: The two do not count the same jobs, or more are beyond the tail than
                beyond the median.
            EvidenceError: The input cannot be otherwise; the state is unchanged.
        """
        return self._after([(median, tail, tick_s)], pace)

    def take_in(
        self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float
    ) -> CycleTime:
        """Take in windows, as every revert test does; one without thresholds tells nothing."""
        ticks = [
            (window.median, window.tail, span_s)
            for window, span_s in windows
            if window.median is not None and window.tail is not None
        ]
        return self._after(ticks, pace) if ticks else self

    def _after(self, ticks: Sequence[tuple[Counts, Counts, float]], pace: float) -> CycleTime:
        for median, tail, _ in ticks:
            _check_same_jobs(median, tail)
        medians = [(median, tick_s) for median, _, tick_s in ticks]
        tails = [(tail, tick_s) for _, tail, tick_s in ticks]
        median_after, of_medians = MEDIAN.observe_all(self.median, medians, pace)
        tail_after, of_tails = TAIL.observe_all(self.tail, tails, pace)
        highest = max((one + two) / 2 for one, two in zip(of_medians, of_tails, strict=True))
        latched = self.latched or highest >= 1.0 / self.alpha
        return CycleTime(median_after, tail_after, latched, self.alpha)

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say what the test says now; `detectable` is a share of jobs beyond legacy's median."""
        scored = self.median.scored
        detectable = detectable_rate(MEDIAN, scored)
        slow = (
            f"{scored.k_concurrent} of {scored.n_concurrent} concurrent jobs were slower than "
            f"yesterday's legacy median plus {slowdown(REVERT_SHIFT) - 1:.1%}, "
            f"{self.tail.scored.k_concurrent} than its 95th percentile"
        )
        if self.latched:
            verdict, sentence = Verdict.REGRESS, f"{slow}: the concurrent path is slower."
        elif not scored.both_paths:
            verdict = Verdict.INSUFFICIENT
            sentence = "No span of this step had jobs on both paths, so nothing was compared."
        elif detectable is None:
            verdict = Verdict.INSUFFICIENT
            sentence = f"{slow}; with so few jobs no slow-down could have been seen yet."
        else:
            verdict, sentence = Verdict.PASS, f"{slow}; a share of {detectable:.1%} would show."
        return Finding(
            self.METRIC,
            verdict,
            self.statistic,
            1.0 / self.alpha,
            scored.n_concurrent,
            scored.n_legacy,
            detectable,
            sentence,
        )

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "median": self.median.to_json(),
            "tail": self.tail.to_json(),
            "latched": self.latched,
        }

    @classmethod
    def from_json(cls, payload: Json, alpha: float = REVERT_ALPHA) -> CycleTime:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, ["median", "tail", "latched"])
        return cls(
            MEDIAN.from_json(stored["median"]),
            TAIL.from_json(stored["tail"]),
            read_flag(stored["latched"]),
            alpha,
        )


def _check_same_jobs(median: Counts, tail: Counts) -> None:
    check_count("k_concurrent of the tail", tail.k_concurrent, median.k_concurrent)
    check_count("k_legacy of the tail", tail.k_legacy, median.k_legacy)
    if (median.n_concurrent, median.n_legacy) != (tail.n_concurrent, tail.n_legacy):
        raise BadCounts("median and tail must count the same jobs", tail, "count once for both")
