"""What every revert test is: a value that takes in windows and says when a path has become worse.

`pilot/step.py` lists the tests that watch a step. All of a trial that depends on which tests there
are (its state, its findings, what leans towards harm, whether it reverts) goes through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.stored import Json
from rollout.evidence.verdict import Finding


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


Spanned = tuple[Window, float]
"""A window, and the seconds since the end of the window before."""


class RevertTest(Protocol):
    """One test of one metric; a frozen value, so each method gives the state after it."""

    METRIC: ClassVar[str]
    """The word in findings, metrics and `why`."""

    @property
    def latched(self) -> bool:
        """Whether it has reached its limit: revert. It stays so."""
        ...

    @property
    def statistic(self) -> float:
        """The evidence of harm, >= 0; held against `promote.HARM_MAX` before an advance."""
        ...

    def change_scope(self, prior: float = 1.0) -> Self:
        """Begin a step; `prior` is what shadow pairs say of the cycle time, see `CycleTime`."""
        ...

    def take_in(self, windows: Sequence[Spanned], rate_legacy: float | None, pace: float) -> Self:
        """Take in windows one after the other; what came of each does not depend on the next.

        Args:
            windows: What was admitted, oldest first.
            rate_legacy: Failure rate of legacy in the last seven days.
            pace: How many seconds of the policy's calendar a second is.

        Raises:
            EvidenceError: One of them cannot be; nothing is changed.
        """
        ...

    def finding(self, rate_legacy: float | None = None) -> Finding:
        """Say what the test says now."""
        ...

    def to_json(self) -> Json:
        """Give a plain object."""
        ...
