"""Total failure of the concurrent path, seen within a handful of jobs.

Two processes must agree. The first watches the concurrent path alone and reacts at once. As soon
as it leans towards a fault, the second, G, starts comparing both paths on the jobs after that. A
common outage raises the first and never G, so it reverts nothing.

Source: evidence method, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rollout.evidence.betting import Bet, Family, Margin
from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadRate
from rollout.evidence.process import BettingProcess, BettingState
from rollout.evidence.revert_test import Spanned
from rollout.evidence.single_path import SinglePathProcess, SinglePathState
from rollout.evidence.stored import Json, read_flag, read_object
from rollout.evidence.verdict import Finding, Verdict

CAP_MIN = 0.10
"""Failure rates up to this are left to the error-rate test."""

CAP_FACTOR = 4.0
"""So are rates up to this many times what legacy showed in the last seven days."""

CAP_MAX = 0.99
"""A cap of 1 would be no test; under it no bet is placed, which the finding says."""

LIMIT = 1000.0
"""What the watch over the concurrent path alone must reach: 1 / .001."""

CORROBORATION_LIMIT = 100.0
"""What the comparison of both paths must reach as well."""

ALONE = SinglePathProcess()
CORROBORATION = BettingProcess(
    bets=(
        Bet(Family.RATIO, 15.0, 0.2),
        Bet(Family.RATIO, 100.0, 0.2),
        Bet(Family.HALF, 0.9, 0.2),
        Bet(Family.SUCCESS, 0.3, 0.2),
        Bet(Family.SUCCESS, 0.02, 0.2),
    ),
    margin=Margin(1.10, 0.0005),
    alpha=1.0 / CORROBORATION_LIMIT,
    restarting=False,
    wealth_max=1e300,
)
"""G: it starts with its whole stake, lives for one alarm and is dropped with it."""


def cap_from(rate_legacy: float | None) -> float:
    """Give the failure rate that is no alarm, from the legacy rate of the last seven days.

    Args:
        rate_legacy: Share of legacy jobs that failed, 0..1; None when none ran.

    Raises:
        BadRate: Not a share.
    """
    if rate_legacy is None:
        return CAP_MIN
    if not 0.0 <= rate_legacy <= 1.0:
        raise BadRate("rate_legacy must lie in 0..1", rate_legacy, "divide failures by jobs")
    return min(max(CAP_MIN, CAP_FACTOR * rate_legacy), CAP_MAX)


@dataclass(frozen=True, slots=True)
class FastPath:
    """The state of the test: a value, about 600 bytes of JSON."""

    METRIC: ClassVar[str] = "fast_path"

    alone: SinglePathState
    corroboration: BettingState | None = None
    latched: bool = False

    @classmethod
    def fresh(cls) -> FastPath:
        """Begin a window; call `change_scope` when its first step begins."""
        return cls(ALONE.fresh())

    def change_scope(self, prior: float = 1.0) -> FastPath:
        """Begin a step: a comparison that was under way starts again with the new jobs."""
        return FastPath(self.alone.change_scope(), None, self.latched)

    @property
    def statistic(self) -> float:
        """How strongly the concurrent path alone points to a fault; >= 0."""
        return ALONE.statistic(self.alone)

    @property
    def corroborated(self) -> float:
        """How strongly both paths together say it is this path's own fault; 1 at rest."""
        if self.corroboration is None:
            return 1.0
        return CORROBORATION.statistic(self.corroboration)

    def observe(
        self, tick: Counts, tick_s: float, rate_legacy: float | None, pace: float = 1.0
    ) -> FastPath:
        """Take in one tick.

        Args:
            tick: Jobs admitted and failed in one window, both paths.
            tick_s: Seconds since the last tick.
            rate_legacy: Legacy failures over jobs in the seven days before this tick.
            pace: As in `BettingProcess.observe`.

        Raises:
            EvidenceError: The input cannot be; the state is unchanged.
        """
        cap = cap_from(rate_legacy)
        alone = ALONE.observe(self.alone, tick.n_concurrent, tick.k_concurrent, tick_s, cap, pace)
        corroboration = self.corroboration
        if corroboration is not None:
            corroboration = CORROBORATION.observe(corroboration, tick, tick_s)
        if ALONE.statistic(alone) < 1.0:
            corroboration = None
        elif corroboration is None:
            # The jobs that raised the alarm must not also confirm it: G starts with the next tick.
            corroboration = CORROBORATION.fresh()
        after = FastPath(alone, corroboration, self.latched)
        both = after.statistic >= LIMIT and after.corroborated >= CORROBORATION_LIMIT
        return replace(after, latched=True) if both else after

    def take_in(
        self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float
    ) -> FastPath:
        """Take in windows, as every revert test does."""
        ticks = [
            (window.failures.n_concurrent, window.failures.k_concurrent, span_s)
            for window, span_s in windows
        ]
        alone, statistics = ALONE.observe_all(self.alone, ticks, cap_from(rate_legacy), pace)
        if max(statistics, default=0.0) < 1.0:  # nearly always: there was nothing to corroborate
            return FastPath(alone, None, self.latched) if ticks else self
        after = self
        for window, span_s in windows:
            after = after.observe(window.failures, span_s, rate_legacy, pace)
        return after

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say what the test says now; the value is the watch over the concurrent path alone.

        Args:
            rate_legacy: As in `observe`; it sets what could have been seen.
        """
        n = self.alone.n
        n_legacy = self.corroboration.scored.n_legacy if self.corroboration else 0
        detectable = ALONE.detectable(n, cap_from(rate_legacy), LIMIT)
        if self.latched:
            verdict = Verdict.REGRESS
            sentence = "The concurrent path fails nearly everywhere and legacy does not."
        elif detectable is None:
            verdict = Verdict.INSUFFICIENT
            sentence = f"{n} concurrent jobs in this step would not show even a total failure."
        elif self.statistic >= LIMIT:
            verdict = Verdict.INSUFFICIENT
            sentence = "The concurrent path fails widely, and legacy seems to fail with it."
        else:
            verdict = Verdict.PASS
            sentence = f"No total failure in {n} concurrent jobs; {detectable:.0%} would show."
        return Finding(
            self.METRIC, verdict, self.statistic, LIMIT, n, n_legacy, detectable, sentence
        )

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "alone": self.alone.to_json(),
            "corroboration": self.corroboration.to_json() if self.corroboration else None,
            "latched": self.latched,
        }

    @classmethod
    def from_json(cls, payload: Json) -> FastPath:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, ["alone", "corroboration", "latched"])
        running = stored["corroboration"]
        return cls(
            ALONE.from_json(stored["alone"]),
            None if running is None else CORROBORATION.from_json(running),
            read_flag(stored["latched"]),
        )
