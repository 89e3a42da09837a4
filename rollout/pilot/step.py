"""The revert tests of one sub-pipeline, fed with windows of admission.

A value of about 2 KB as JSON. It forgets nothing of what it learnt when a step begins but counts
only jobs that were admitted since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from rollout.evidence.betting import Margin
from rollout.evidence.counts import NO_COUNTS, Counts, check_count
from rollout.evidence.cycle_time import CycleTime
from rollout.evidence.error_rate import BETS, ErrorRate
from rollout.evidence.fast_path import FastPath
from rollout.evidence.process import BettingProcess
from rollout.evidence.recovery_watch import RecoveryWatch
from rollout.evidence.stored import Json, read_count, read_object
from rollout.evidence.verdict import Finding
from rollout.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Guard:
    """How strict the revert tests are: fixed for a pilot, from its policy."""

    margin: Margin
    alpha_error: float
    alpha_cycle: float
    alpha_recovery: float

    @property
    def error_process(self) -> BettingProcess:
        """The error test of this guard."""
        return _error_process(self.margin, self.alpha_error)


def guard_of(policy: Policy) -> Guard:
    """The strictness that a policy asks of the revert tests."""
    margin = Margin(policy.revert_margin_ratio, policy.revert_margin_absolute)
    return Guard(margin, policy.alpha_error, policy.alpha_cycle, policy.alpha_recovery)


@lru_cache(maxsize=64)
def _error_process(margin: Margin, alpha: float) -> BettingProcess:
    return BettingProcess(BETS, margin, alpha)


@dataclass(frozen=True, slots=True)
class Window:
    """Jobs admitted in one window, old enough to be judged.

    Attributes:
        failures: Jobs and failures, both paths; what tells nothing is left out.
        median: The same jobs, those beyond the median threshold; None without thresholds.
        tail: The same jobs, those beyond the tail threshold.
        admitted_concurrent: All jobs that routing sent to the concurrent path.
        admitted_legacy: All jobs that it sent to legacy.
        both_failed: Jobs that failed on both paths.
        unjudged: Jobs that tell nothing.
    """

    failures: Counts
    median: Counts | None
    tail: Counts | None
    admitted_concurrent: int
    admitted_legacy: int
    both_failed: int = 0
    unjudged: int = 0


NO_JOBS = Window(NO_COUNTS, None, None, 0, 0)
"""A span in which nothing was admitted: only time passes."""


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What the revert tests remember."""

    errors: ErrorRate
    fast: FastPath
    cycle: CycleTime
    recovery: RecoveryWatch
    admitted_concurrent: int = 0
    admitted_legacy: int = 0
    both_failed: int = 0
    unjudged: int = 0

    @classmethod
    def fresh(cls, guard: Guard, prior: float = 1.0) -> StepEvidence:
        """Begin a trial: the first step has begun, and nothing was seen but perhaps shadow pairs.

        Args:
            guard: How strict the tests are.
            prior: See `CycleTime.change_scope`.
        """
        return cls(
            ErrorRate.fresh(guard.error_process),
            FastPath.fresh(),
            CycleTime.fresh(guard.alpha_cycle),
            RecoveryWatch.fresh(guard.alpha_recovery),
        ).begin_step(prior)

    def begin_step(self, prior: float = 1.0) -> StepEvidence:
        """Begin a step of the same trial."""
        return StepEvidence(
            self.errors.change_scope(),
            self.fast.change_scope(),
            self.cycle.change_scope(prior),
            self.recovery.change_scope(),
        )

    def observe(
        self, window: Window, span_s: float, rate_legacy: float | None, pace: float
    ) -> StepEvidence:
        """Take in one window.

        Args:
            window: What was admitted.
            span_s: Seconds since the end of the window before.
            rate_legacy: Failure rate of legacy in the last seven days.
            pace: How many seconds of the policy's calendar a second is.

        Raises:
            EvidenceError: The input cannot be; nothing is changed.
        """
        cycle = self.cycle
        if window.median is not None and window.tail is not None:
            cycle = cycle.observe(window.median, window.tail, span_s, pace)
        return StepEvidence(
            self.errors.observe(window.failures, span_s, pace),
            self.fast.observe(window.failures, span_s, rate_legacy, pace),
            cycle,
            self.recovery.observe(0, 0, span_s, pace),
            self.admitted_concurrent + window.admitted_concurrent,
            self.admitted_legacy + window.admitted_legacy,
            self.both_failed + window.both_failed,
            self.unjudged + window.unjudged,
        )

    def recovered(self, slow: bool) -> StepEvidence:
        """Take in one recovery of the concurrent path; `slow` by `recovery_watch.is_slow`."""
        return replace(self, recovery=self.recovery.observe(1, int(slow), 0.0))

    def not_recovered(self) -> StepEvidence:
        """Say that a job was lost, or the concurrent path had not healed at the cap."""
        return replace(self, recovery=self.recovery.fail())

    def findings(self, rate_legacy: float | None) -> tuple[Finding, ...]:
        """Say what each revert test says now."""
        return (
            self.errors.finding(),
            self.fast.finding(rate_legacy),
            self.cycle.finding(),
            self.recovery.finding(),
        )

    @property
    def harm(self) -> dict[str, float]:
        """The statistic of each revert test by its metric."""
        return {
            "error_rate": self.errors.statistic,
            "fast_path": self.fast.statistic,
            "cycle_time": self.cycle.statistic,
            "recovery_watch": self.recovery.statistic,
        }

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "errors": self.errors.to_json(),
            "fast": self.fast.to_json(),
            "cycle": self.cycle.to_json(),
            "recovery": self.recovery.to_json(),
            "admitted_concurrent": self.admitted_concurrent,
            "admitted_legacy": self.admitted_legacy,
            "both_failed": self.both_failed,
            "unjudged": self.unjudged,
        }

    @classmethod
    def from_json(cls, payload: Json, guard: Guard) -> StepEvidence:
        """Read what `to_json` gave; raises BadState."""
        stored = read_object(payload, list(_KEYS))
        counts = {name: check_count(name, read_count(stored[name])) for name in _KEYS[4:]}
        return cls(
            ErrorRate.from_json(stored["errors"], guard.error_process),
            FastPath.from_json(stored["fast"]),
            CycleTime.from_json(stored["cycle"], guard.alpha_cycle),
            RecoveryWatch.from_json(stored["recovery"], guard.alpha_recovery),
            **counts,
        )


_KEYS = (
    "errors",
    "fast",
    "cycle",
    "recovery",
    "admitted_concurrent",
    "admitted_legacy",
    "both_failed",
    "unjudged",
)
