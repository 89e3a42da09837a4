"""Does the concurrent path fail more often than legacy, beyond the revert margin?

Source: evidence method, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from rollout.evidence.betting import Bet, Family, Margin
from rollout.evidence.counts import Counts
from rollout.evidence.detectable import detectable_rate
from rollout.evidence.process import BettingProcess, BettingState
from rollout.evidence.revert_test import Spanned
from rollout.evidence.stored import Json, read_flag, read_object
from rollout.evidence.verdict import Finding, Verdict

REVERT_MARGIN = Margin(1.10, 0.0005)
"""Up to 1.1 times legacy plus 0.05 percentage points is left alone."""

REVERT_ALPHA = 0.003
"""Chance of a false revert by this test in 28 days."""

BETS = (
    Bet(Family.RATIO, 1.5, 0.20),
    Bet(Family.RATIO, 2.5, 0.20),
    Bet(Family.RATIO, 5.0, 0.15),
    Bet(Family.RATIO, 15.0, 0.15),
    Bet(Family.RATIO, 100.0, 0.10),
    Bet(Family.HALF, 0.9, 0.10),
    Bet(Family.SUCCESS, 0.1, 0.10),
)
PROCESS = BettingProcess(BETS, REVERT_MARGIN, REVERT_ALPHA)


@lru_cache(maxsize=64)
def process_of(margin: Margin, alpha: float) -> BettingProcess:
    """Give the test of a policy: what is no regression yet, and the chance of a false revert."""
    return BettingProcess(BETS, margin, alpha)


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The state of the test: a value, about 400 bytes of JSON."""

    METRIC: ClassVar[str] = "error_rate"

    betting: BettingState
    latched: bool = False
    process: BettingProcess = PROCESS

    @classmethod
    def fresh(cls, process: BettingProcess = PROCESS) -> ErrorRate:
        """Begin a window; call `change_scope` when its first step begins."""
        return cls(process.fresh(), False, process)

    def change_scope(self, prior: float = 1.0) -> ErrorRate:
        """Begin a step: only jobs admitted from now on count; there is no prior of failures."""
        return ErrorRate(self.betting.change_scope(), self.latched, self.process)

    @property
    def statistic(self) -> float:
        """The evidence of harm, >= 0."""
        return self.process.statistic(self.betting)

    def observe(self, tick: Counts, tick_s: float, pace: float = 1.0) -> ErrorRate:
        """Take in one tick of jobs and failures; see `BettingProcess.observe`.

        Once at the limit the answer stays REGRESS: later good jobs do not undo a revert.
        """
        return self._after([(tick, tick_s)], pace)

    def take_in(
        self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float
    ) -> ErrorRate:
        """Take in windows, as every revert test does."""
        return self._after([(window.failures, span_s) for window, span_s in windows], pace)

    def _after(self, ticks: Sequence[tuple[Counts, float]], pace: float) -> ErrorRate:
        betting, statistics = self.process.observe_all(self.betting, ticks, pace)
        reached = max(statistics, default=0.0) >= self.process.limit
        return ErrorRate(betting, self.latched or reached, self.process)

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say what the test says now: REGRESS, PASS (no harm seen) or INSUFFICIENT."""
        scored = self.betting.scored
        detectable = detectable_rate(self.process, scored)
        if self.latched:
            verdict = Verdict.REGRESS
            sentence = (
                f"{scored.k_concurrent} of {scored.n_concurrent} concurrent jobs failed against "
                f"{scored.k_legacy} of {scored.n_legacy} on legacy, beyond the revert margin."
            )
        elif not scored.both_paths:
            verdict = Verdict.INSUFFICIENT
            sentence = "No span of this step had jobs on both paths, so nothing was compared."
        elif detectable is None:
            verdict = Verdict.INSUFFICIENT
            sentence = (
                f"{scored.n_concurrent} concurrent and {scored.n_legacy} legacy jobs: even if "
                "every concurrent job failed, this test would not have seen it yet."
            )
        else:
            verdict = Verdict.PASS
            sentence = (
                f"No harm seen in {scored.n_concurrent} concurrent jobs; "
                f"a failure rate of {detectable:.2%} or more would have been."
            )
        return Finding(
            self.METRIC,
            verdict,
            self.statistic,
            self.process.limit,
            scored.n_concurrent,
            scored.n_legacy,
            detectable,
            sentence,
        )

    def to_json(self) -> Json:
        """Give a plain object; the process is set up anew, not stored."""
        return {"betting": self.betting.to_json(), "latched": self.latched}

    @classmethod
    def from_json(cls, payload: Json, process: BettingProcess = PROCESS) -> ErrorRate:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, ["betting", "latched"])
        return cls(process.from_json(stored["betting"]), read_flag(stored["latched"]), process)
