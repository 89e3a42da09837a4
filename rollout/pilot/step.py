"""The revert tests of one sub-pipeline, fed with windows of admission.

A value of about 2 KB as JSON. It forgets nothing of what it learnt when a step begins but counts
only jobs that were admitted since. `REVERT_TESTS` is the one list of what may revert a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from rollout.evidence.betting import Margin
from rollout.evidence.counts import check_count
from rollout.evidence.cycle_time import CycleTime
from rollout.evidence.error_rate import ErrorRate, process_of
from rollout.evidence.fast_path import FastPath
from rollout.evidence.process import BettingProcess
from rollout.evidence.recovery_watch import RecoveryWatch
from rollout.evidence.revert_test import RevertTest, Spanned, Window
from rollout.evidence.stored import Json, read_count, read_object
from rollout.evidence.verdict import Finding
from rollout.policy.policy import Policy

_Test = TypeVar("_Test", bound=RevertTest)


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
        return process_of(self.margin, self.alpha_error)


def guard_of(policy: Policy) -> Guard:
    """The strictness that a policy asks of the revert tests."""
    return Guard(
        policy.revert_margin, policy.alpha_error, policy.alpha_cycle, policy.alpha_recovery
    )


@dataclass(frozen=True, slots=True)
class RevertKind:
    """One revert test that watches every step.

    Attributes:
        key: Its place in stored evidence.
        fresh: Begins it.
        read: Reads what its `to_json` gave; raises BadState.
        early: It does not wait until most jobs have ended; see `Trial.early_from`.
        added: Evidence stored by an earlier release lacks it. A stored decision is then judged
            again without it, as it was made; a trial that goes on begins it.
    """

    key: str
    fresh: Callable[[Guard], RevertTest]
    read: Callable[[Json, Guard], RevertTest]
    early: bool = False
    added: bool = False


class Taken(Enum):
    """Which tests take in a window."""

    ALL = "all"
    """Every test: jobs are short."""
    EARLY = "early"
    """Those that do not wait."""
    LATE = "late"
    """The others, when most jobs of the window have ended."""


REVERT_TESTS: tuple[RevertKind, ...] = (
    RevertKind(
        "errors",
        lambda guard: ErrorRate.fresh(guard.error_process),
        lambda stored, guard: ErrorRate.from_json(stored, guard.error_process),
    ),
    RevertKind(
        "fast",
        lambda guard: FastPath.fresh(),
        lambda stored, _: FastPath.from_json(stored),
        early=True,
    ),
    RevertKind(
        "cycle",
        lambda guard: CycleTime.fresh(guard.alpha_cycle),
        lambda stored, guard: CycleTime.from_json(stored, guard.alpha_cycle),
    ),
    RevertKind(
        "recovery",
        lambda guard: RecoveryWatch.fresh(guard.alpha_recovery),
        lambda stored, guard: RecoveryWatch.from_json(stored, guard.alpha_recovery),
    ),
)
"""What may revert a trial, in the order in which it is said."""

_EARLY = frozenset(kind.key for kind in REVERT_TESTS if kind.early)
_COUNTED = ("admitted_concurrent", "admitted_legacy", "both_failed", "unjudged")


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What the revert tests remember: `tests` by their key, in the order of `REVERT_TESTS`."""

    tests: tuple[tuple[str, RevertTest], ...]
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
        return cls(tuple((kind.key, kind.fresh(guard)) for kind in REVERT_TESTS)).begin_step(prior)

    def begin_step(self, prior: float = 1.0) -> StepEvidence:
        """Begin a step of the same trial."""
        return StepEvidence(tuple((key, one.change_scope(prior)) for key, one in self.tests))

    def observe(
        self,
        window: Window,
        span_s: float,
        rate_legacy: float | None,
        pace: float,
        which: Taken = Taken.ALL,
    ) -> StepEvidence:
        """Take in one window; see `observe_all`."""
        return self.observe_all([(window, span_s)], rate_legacy, pace, which)

    def observe_all(
        self,
        windows: Sequence[Spanned],
        rate_legacy: float | None,
        pace: float,
        which: Taken = Taken.ALL,
    ) -> StepEvidence:
        """Take in windows, oldest first; the arguments are those of `RevertTest.take_in`.

        Raises:
            EvidenceError: One of them cannot be; nothing is changed.
        """
        tests = tuple(
            (key, one)
            if which is not Taken.ALL and (key in _EARLY) is not (which is Taken.EARLY)
            else (key, one.take_in(windows, rate_legacy, pace))
            for key, one in self.tests
        )
        if which is Taken.EARLY:  # its jobs are counted when they are old
            return replace(self, tests=tests)
        return StepEvidence(
            tests,
            self.admitted_concurrent + sum([one.admitted_concurrent for one, _ in windows]),
            self.admitted_legacy + sum([one.admitted_legacy for one, _ in windows]),
            self.both_failed + sum([one.both_failed for one, _ in windows]),
            self.unjudged + sum([one.unjudged for one, _ in windows]),
        )

    def of(self, kind: type[_Test]) -> _Test:
        """Give one of the tests."""
        return next(one for _, one in self.tests if isinstance(one, kind))

    def _with(self, changed: RevertTest) -> StepEvidence:
        kept = ((key, changed if type(one) is type(changed) else one) for key, one in self.tests)
        return replace(self, tests=tuple(kept))

    def recovered(self, slow: bool) -> StepEvidence:
        """Take in one recovery of the concurrent path; `slow` by `recovery_watch.is_slow`."""
        return self._with(self.of(RecoveryWatch).observe(1, int(slow), 0.0))

    def not_recovered(self) -> StepEvidence:
        """Say that a job was lost, or the concurrent path had not healed at the cap."""
        return self._with(self.of(RecoveryWatch).fail())

    @property
    def latched(self) -> bool:
        """Whether a test has reached its limit."""
        return any(one.latched for _, one in self.tests)

    def findings(self, rate_legacy: float | None) -> tuple[Finding, ...]:
        """Say what each revert test says now."""
        return tuple(one.finding(rate_legacy) for _, one in self.tests)

    @property
    def harm(self) -> dict[str, float]:
        """The statistic of each revert test by its metric."""
        return {one.METRIC: one.statistic for _, one in self.tests}

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            **{key: one.to_json() for key, one in self.tests},
            **{name: getattr(self, name) for name in _COUNTED},
        }

    @classmethod
    def from_json(cls, payload: Json, guard: Guard) -> StepEvidence:
        """Read what `to_json` gave; raises BadState."""
        had = payload if isinstance(payload, dict) else {}
        kinds = [kind for kind in REVERT_TESTS if not kind.added or kind.key in had]
        stored = read_object(payload, [*(kind.key for kind in kinds), *_COUNTED])
        counts = {name: check_count(name, read_count(stored[name])) for name in _COUNTED}
        tests = tuple((kind.key, kind.read(stored[kind.key], guard)) for kind in kinds)
        return cls(tests, **counts)

    def completed(self, guard: Guard) -> StepEvidence:
        """Begin the tests that it lacks, because they are newer than it."""
        had = dict(self.tests)
        if len(had) == len(REVERT_TESTS):
            return self
        tests = (
            (kind.key, had.get(kind.key) or kind.fresh(guard).change_scope())
            for kind in REVERT_TESTS
        )
        return replace(self, tests=tuple(tests))
