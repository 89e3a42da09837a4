"""Is the concurrent path slower than legacy on the same input? Pairs from shadow runs.

Both paths ran one input, so what makes jobs long or short cancels in the log of the ratio of their
times. H0: the log ratio, less the log of the margin, is symmetric around a centre at or under 0,
whatever its spread, its tails and their change from pair to pair. Under H0 each bet multiplies
wealth by 2 / (1 + exp(-2 x / scale)) = 1 + tanh(x / scale), whose mean is at most 1 because tanh is
odd and grows. So wealth at 1 / alpha is reached with probability at most alpha, at whatever times
one looks. Half of the stake is placed at the start, half arrives evenly over 28 days.

A run in a shadow worker is also a run in another place, after the first one has warmed the caches.
Old-against-old pairs (legacy run again there) measure that, and the finding says when it, and not
the path, explains a difference.

Source: Vovk & Wang, "Nonparametric e-tests of symmetry", NEJSDS 2024 (arXiv 2208.08925), after
Fisher 1935; mixed over scales because nobody knows the spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite, log, tanh
from statistics import median
from typing import Annotated

from pydantic import Field

from rollout.evidence.blocks import check_tick
from rollout.evidence.detectable import smallest
from rollout.evidence.errors import BadDuration
from rollout.evidence.restarts import PERIOD_S
from rollout.evidence.stored import Count, Flag, Number, Signed, Stored
from rollout.evidence.verdict import Finding, Verdict

SHADOW_TIME = "shadow_time"
"""Metric of the finding."""

TIME_MARGIN = 1.05
"""Up to 1.05 times legacy's time is left alone."""

TIME_ALPHA = 0.01
"""Chance of a false REGRESS in 28 days, however often one looks."""

SCALES = (0.05, 0.1, 0.2, 0.5)
"""Scales of the bets; spread^2 / effect is the best one, so these suit spreads of 0.1 to 0.5."""

_PER_SCALE = Field(min_length=len(SCALES), max_length=len(SCALES))

START_STAKE = 0.5
PAIRS_KEPT = 100
"""Log ratios that are remembered for the median and for what would have been detectable."""
PLACE_PAIRS_MIN = 5
"""Old-against-old pairs from which on their median says something about the place."""
RATIO_MAX = 100.0
TIME_S_MIN = 1e-6
"""Shorter times are the clock's, not the path's."""


def log_ratio(legacy_s: float, other_s: float) -> float:
    """Give ln(other / legacy).

    Raises:
        BadDuration: A time is negative or not finite.
    """
    times = (legacy_s, other_s)
    if not all(isfinite(time) and time >= 0.0 for time in times):
        raise BadDuration("times must be finite and >= 0", times, "leave the pair out")
    return log(max(other_s, TIME_S_MIN) / max(legacy_s, TIME_S_MIN))


def settle(wealth: Sequence[float], pend: float, x: float) -> tuple[float, ...]:
    """Place the stake and settle one pair; `x` is the log ratio less that of the margin."""
    return tuple(
        min((held + pend) * (1.0 + tanh(x / scale)), 1e12)
        for held, scale in zip(wealth, SCALES, strict=True)
    )


def prior_factor(finding: Finding | None, days: float) -> float:
    """What shadow pairs say beforehand of the first split step's cycle time: (1 + E) / 2.

    E is their statistic, whose mean is at most 1 while the concurrent path is not slower; so is
    the mean of the factor, and stakes times such a factor keep the limit on false reverts. The 1
    stands for pairs that say nothing: shadow costs the step's test a factor of 2 at most.

    Args:
        finding: Their finding; None and one that explains nothing give 1.
        days: How long shadow ran; beyond 28 days more was staked than 1.
    """
    if finding is None or finding.value is None or finding.verdict is Verdict.ERROR:
        return 1.0
    staked = START_STAKE + (1 - START_STAKE) * days * 86_400.0 / PERIOD_S
    # Over its limit it holds the first step; a person who starts all the same has seen it.
    return (1.0 + min(finding.value / max(1.0, staked), 1 / TIME_ALPHA)) / 2


@dataclass(frozen=True, slots=True)
class PairedTime(Stored):
    """The state of the test: a value, about 1.5 KB of JSON.

    Attributes:
        wealth: One number per scale, >= 0.
        pend: Stake that the next pair places.
        pairs: Pairs so far, new-against-old.
        recent: Their last log ratios, at most `PAIRS_KEPT`.
        again: Old-against-old pairs so far.
        recent_again: Their last log ratios.
        latched: Whether the limit was reached.
    """

    wealth: Annotated[tuple[Number, ...], _PER_SCALE] = (0.0,) * len(SCALES)
    pend: Annotated[Number, Field(le=1.0)] = START_STAKE
    pairs: Count = 0
    recent: tuple[Signed, ...] = ()
    again: Count = 0
    recent_again: tuple[Signed, ...] = ()
    latched: Flag = False

    @property
    def statistic(self) -> float:
        """The evidence that the concurrent path is slower, >= 0."""
        return sum(self.wealth) / len(SCALES)

    def observe(self, legacy_s: float, concurrent_s: float, since_s: float) -> PairedTime:
        """Take in one new-against-old pair.

        Args:
            legacy_s: Seconds that legacy's path took for this input.
            concurrent_s: Seconds that the concurrent path took for it.
            since_s: Seconds since the pair before, cut at 28 days.

        Raises:
            BadDuration: A time cannot be; the state is unchanged.
        """
        x = log_ratio(legacy_s, concurrent_s)
        pend = self.pend + (1 - START_STAKE) * check_tick(min(since_s, PERIOD_S)) / PERIOD_S
        wealth = settle(self.wealth, pend, x - log(TIME_MARGIN))
        reached = sum(wealth) / len(SCALES) >= 1 / TIME_ALPHA
        return replace(
            self,
            wealth=wealth,
            pend=0.0,
            pairs=self.pairs + 1,
            recent=(*self.recent, round(x, 5))[-PAIRS_KEPT:],
            latched=self.latched or reached,
        )

    def observe_again(self, legacy_s: float, again_s: float) -> PairedTime:
        """Take in one old-against-old pair; raises BadDuration."""
        x = log_ratio(legacy_s, again_s)
        recent = (*self.recent_again, round(x, 5))[-PAIRS_KEPT:]
        return replace(self, again=self.again + 1, recent_again=recent)

    @property
    def ratio(self) -> float | None:
        """Median of concurrent over legacy time in the last pairs."""
        return exp(median(self.recent)) if self.recent else None

    @property
    def place_ratio(self) -> float | None:
        """The same of legacy run again; None while there are too few."""
        if len(self.recent_again) < PLACE_PAIRS_MIN:
            return None
        return exp(median(self.recent_again))

    def finding(self) -> Finding:
        """Say what the test says now; `detectable` is a ratio of times."""
        found = detectable(self.recent)
        verdict, sentence = self._judge(found)
        return Finding(
            SHADOW_TIME,
            verdict,
            self.statistic,
            1 / TIME_ALPHA,
            self.pairs,
            self.again,
            found,
            sentence,
        )

    def _judge(self, found: float | None) -> tuple[Verdict, str]:
        ratio, place = self.ratio, self.place_ratio
        if ratio is None:
            return Verdict.INSUFFICIENT, "No shadow has run both paths on one input yet."
        sentence = f"The concurrent path took {ratio:.2f} times legacy's time (median of pairs)"
        if place is not None:
            sentence += f"; legacy itself, run again in the shadow, {place:.2f} times"
        if self._place_explains(ratio, place):
            return Verdict.ERROR, f"{sentence}: the shadow worker's place is slower, not the path."
        if self.latched:
            return Verdict.REGRESS, f"{sentence}: slower than the margin of {TIME_MARGIN:g}."
        if place is not None and place < 1 / TIME_MARGIN < ratio / place:
            why = "warm caches or a faster place flatter the concurrent path"
            return Verdict.INSUFFICIENT, f"{sentence}: {why}."
        if found is None:
            return Verdict.INSUFFICIENT, f"{sentence}; so few pairs would have shown no slow-down."
        return Verdict.PASS, f"{sentence}; {found:.2f} times or more would have shown."

    def _place_explains(self, ratio: float, place: float | None) -> bool:
        """Whether legacy is as slow there, so that the times say nothing of the path."""
        if place is None or ratio / place > TIME_MARGIN:
            return False
        return self.latched or place > TIME_MARGIN


def detectable(recent: Sequence[float]) -> float | None:
    """Find the smallest ratio of times that pairs of this spread would have shown.

    Returns:
        The least ratio at which the test, run from the start over these pairs moved there, ends
        at its limit; None when not even 100 times as slow would have.
    """
    if not recent:
        return None
    centre = median(recent)

    def seen(log_of_ratio: float) -> bool:
        wealth, pend = (0.0,) * len(SCALES), START_STAKE
        for x in recent:
            wealth = settle(wealth, pend, x - centre + log_of_ratio - log(TIME_MARGIN))
            pend = 0.0
        return sum(wealth) / len(SCALES) >= 1 / TIME_ALPHA

    found = smallest(seen, log(TIME_MARGIN), log(RATIO_MAX), halvings=20)
    return None if found is None else exp(found)
