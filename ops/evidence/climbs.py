"""Whole pilots at small and large traffic: the revert tests every few minutes, a look when due.

Many pilots climb together, each at its own step. The judgement itself is simulated by
`rollout simulate`; here its arithmetic runs on arrays, so that hundreds of pilots take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import ndtr, ndtri

from ops.evidence.scores import scores
from ops.evidence.traffic import DAY_S
from ops.evidence.twin import Flags, Floats
from ops.evidence.watches import TwinCycle, TwinErrors
from rollout.evidence.buckets import GROWTH
from rollout.evidence.harm_budget import SCORE_LIMIT, HarmBudget, budget_for, margin
from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.evidence.promote import HARM_MAX
from rollout.evidence.thresholds import REVERT_SHIFT
from rollout.policy.way import SURE_BP, steps_for

Ints: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

LADDER_BP = (310, 625, 1250, 2500, 5000, 9000)
GRADUATED_BP = 9500
BAKE_DAYS = 7.0
AGAIN_A_DAY_MAX = 2000.0
"""Legacy repeats a day in shadow, at most."""

SHADOW, OVER = -1, 99


@dataclass(frozen=True)
class Pilot:
    """What is simulated; paths are alike but for what `fault` and `slower` say.

    Attributes:
        jobs_a_day: Of both paths.
        rate: Failure rate of legacy.
        fault: Failure rate of the concurrent path at a scope in 0..1; None for legacy's.
        slower: How many times as long its jobs take at a scope.
        shadow: Whether a shadow comes first.
        days: How long it is watched.
        tick_s: Seconds between two looks of the revert tests.
    """

    jobs_a_day: float
    rate: float = 0.005
    fault: Callable[[Floats], Floats] | None = None
    slower: Callable[[Floats], Floats] | None = None
    shadow: bool = False
    days: int = 84
    tick_s: float = 900.0

    @property
    def jobs_a_week(self) -> float:
        """Jobs a week."""
        return 7 * self.jobs_a_day

    @property
    def budget(self) -> HarmBudget:
        """The automatic budget."""
        return budget_for(self.rate, self.jobs_a_week)

    @property
    def steps_bp(self) -> tuple[int, ...]:
        """The steps this traffic takes."""
        budget = self.budget.failed
        return steps_for(LADDER_BP, self.jobs_a_week, budget, shadowed=self.shadow)


@dataclass(frozen=True)
class Climbed:
    """What became of the pilots, one number each.

    Attributes:
        graduated: Day of graduation; infinite for those that did not.
        reverted: Day of the revert; infinite for none.
        past_first: Whether the second step was reached.
        extra_failed: Failed jobs beyond what legacy would have had, up to the end.
        extra_late: Jobs beyond legacy's 95th percentile, the same.
    """

    graduated: Floats
    reverted: Floats
    past_first: Flags
    extra_failed: Floats
    extra_late: Floats


class _Climb:
    """The state of many pilots; only `climb` uses it."""

    def __init__(self, pilot: Pilot, pilots: int, rng: np.random.Generator) -> None:
        self.pilot, self.rng = pilot, rng
        self.shares = np.array([*pilot.steps_bp, GRADUATED_BP]) / 10_000
        budget = pilot.budget
        # What each step has to show: the margin by the scope that comes after it.
        self.margins = np.array(
            [
                [margin(one, pilot.jobs_a_week, share).absolute for share in self.shares[1:]]
                for one in (budget.failed, budget.late, budget.slow)
            ]
        )
        first = self.shares[0]
        self.margin_shadow = margin(budget.failed, pilot.jobs_a_week, float(first)).absolute
        self.step: Ints = np.full(pilots, SHADOW if pilot.shadow else 0)
        self.began, self.looks = np.zeros(pilots), np.zeros(pilots)
        self.counts = np.zeros((2, 4, pilots))
        self.raised = np.zeros((4, pilots))
        self.errors, self.cycle = TwinErrors(pilots), TwinCycle(pilots)
        self.errors.change_scope()
        self.cycle.change_scope()
        nobody = np.full(pilots, np.inf)
        self.done = Climbed(
            nobody.copy(),
            nobody.copy(),
            np.zeros(pilots, dtype=np.bool_),
            np.zeros(pilots),
            np.zeros(pilots),
        )

    def tick(self, at: int) -> None:
        """Let one tick of jobs come."""
        pilot, split = self.pilot, (self.step >= 0) & (self.step != OVER)
        jobs = pilot.jobs_a_day * pilot.tick_s / DAY_S
        share = np.where(split, self.shares[np.minimum(self.step, len(self.shares) - 1)], 0.0)
        if at % round(DAY_S / pilot.tick_s) == 0:
            self._new_thresholds(jobs * DAY_S / pilot.tick_s * (1 - share))
        rate = np.full(share.size, pilot.rate) if pilot.fault is None else pilot.fault(share)
        slower = np.ones(share.size) if pilot.slower is None else pilot.slower(share)
        new = self._draw(self.rng.poisson(jobs * share), rate, np.log(slower))
        old = self._draw(
            self.rng.poisson(jobs * (1 - share)), np.full(share.size, pilot.rate), np.zeros(1)
        )
        self.counts += np.where(split, np.array([new[:4], old[:4]]), 0.0)
        self.done.extra_failed[:] += np.where(split, new[1] - new[0] * pilot.rate, 0.0)
        late = old[2].sum() / max(1.0, old[0].sum())
        self.done.extra_late[:] += np.where(split, new[2] - new[0] * late, 0.0)
        if self.pilot.shadow:
            self._shadow(rate, np.where(self.step == SHADOW, 1.0, 0.0))
        self.errors.observe([np.where(split, [new[0], new[1], old[0], old[1]], 0.0)], pilot.tick_s)
        median = np.where(split, [new[0], new[5], old[0], old[3]], 0.0)
        tail = np.where(split, [new[0], new[4], old[0], old[2]], 0.0)
        self.cycle.observe([median, tail], pilot.tick_s)
        day = (at + 1) * pilot.tick_s / DAY_S
        bad = split & (self.errors.latched | self.cycle.latched)
        self.done.reverted[bad] = day
        self.step[bad] = OVER
        self._look(day)

    def _new_thresholds(self, legacy_jobs: Floats) -> None:
        """Thresholds from a day of legacy jobs, as standard normal scores of ln(time)."""
        n = np.maximum(2, np.round(legacy_jobs))
        ranks = [np.ceil(level * n) for level in (0.5, 0.95)]
        self.edges = [ndtri(self.rng.beta(rank, np.maximum(1, n - rank + 1))) for rank in ranks]

    def _draw(self, n: Ints, rate: Floats, log_slower: Floats) -> list[Floats]:
        """Draw jobs, failed, late, slow; then late and slow beyond the revert test's margin.

        A failed job is late and slow, however fast it failed.
        """
        shift = REVERT_SHIFT * np.log(GROWTH)
        median, tail = self.edges
        slow, slow_far, late, late_far = (
            ndtr(-(edge + more - log_slower))
            for edge, more in ((median, 0.0), (median, shift), (tail, 0.0), (tail, shift))
        )
        failed = self.rng.binomial(n, np.minimum(1.0, rate))
        k_slow = self.rng.binomial(n - failed, slow)
        k_far = self.rng.binomial(k_slow, slow_far / slow)
        k_late = self.rng.binomial(k_far, np.minimum(1.0, late / slow_far))
        k_late_far = self.rng.binomial(k_late, late_far / late)
        return [
            one.astype(np.float64)
            for one in (
                n,
                failed,
                k_late + failed,
                k_slow + failed,
                k_late_far + failed,
                k_far + failed,
            )
        ]

    def _shadow(self, rate: Floats, here: Floats) -> None:
        """Copies of the jobs on the concurrent path, and half as many on legacy again."""
        pilot = self.pilot
        part = pilot.tick_s / DAY_S
        again = min(0.5 * pilot.jobs_a_day, AGAIN_A_DAY_MAX)
        for row, jobs, raised in (
            (0, min(pilot.jobs_a_day, 2 * AGAIN_A_DAY_MAX), rate),
            (2, again, np.full(rate.size, pilot.rate)),
        ):
            n = self.rng.poisson(jobs * part * here)
            self.raised[row] += n
            self.raised[row + 1] += self.rng.binomial(n, np.minimum(1.0, raised))

    def _look(self, day: float) -> None:
        """Look at the pilots whose look is due."""
        due_day = look_day(1, BAKE_DAYS) + self.looks * BAKE_DAYS / 2
        due = (self.step != OVER) & (day - self.began >= due_day - 1e-9)
        due &= self.looks < LOOKS_MAX
        if not due.any():
            return
        self.looks[due] += 1
        last = len(self.shares) - 2
        proven = np.zeros(due.size, dtype=np.bool_)
        for step in np.unique(self.step[due]):
            which = np.flatnonzero(due & (self.step == step))
            if step == SHADOW:
                n, k, m, j = self.raised[:, which]
                proven[which] = scores(k, n, j, m, self.margin_shadow) <= SCORE_LIMIT
                continue
            limit = 0.0 if step == last else SCORE_LIMIT
            passed = np.ones(which.size, dtype=np.bool_)
            new, old = self.counts[:, :, which]
            for event in range(3):
                z = scores(
                    new[event + 1], new[0], old[event + 1], old[0], self.margins[event, step]
                )
                passed &= z <= limit
            harm = np.maximum(self.errors.harm, self.cycle.statistic)[which]
            proven[which] = passed & (harm < HARM_MAX)
        self._grow(proven, last, day)

    def _grow(self, proven: Flags, last: int, day: float) -> None:
        graduates = proven & (self.step == last)
        self.done.graduated[graduates] = day
        grows = proven & ~graduates
        self.done.past_first[grows & (self.step >= 0)] = True
        self.step[grows] += 1
        self.step[graduates] = OVER
        self.began[grows], self.looks[grows] = day, 0
        self.counts[:, :, grows] = 0.0
        self.errors.change_scope(grows)
        self.cycle.change_scope(grows)


def climb(pilot: Pilot, pilots: int, seed: int) -> Climbed:
    """Let pilots climb until they graduate, are reverted, or the days are over."""
    one = _Climb(pilot, pilots, np.random.default_rng(seed))
    if pilot.shadow and pilot.steps_bp[0] != SURE_BP:
        raise ValueError(f"a shadowed pilot begins at {SURE_BP}, got {pilot.steps_bp}")
    for at in range(round(pilot.days * DAY_S / pilot.tick_s)):
        one.tick(at)
        if (one.step == OVER).all():
            break
    return one.done
