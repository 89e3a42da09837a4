"""The likelihood of one block under one bet against "the concurrent path is no worse".

H0 is p_concurrent <= ratio * q, q = p_legacy + d (1 - p_legacy), d = absolute / ratio. Under H0
every bet below multiplies wealth by at most 1 on average, whatever p_legacy is and however it
drifts, because both paths of a block face the same hour.

Sources: Turner, Ly & Gruenwald, JSPI 2024 (arXiv 2106.02693); Waudby-Smith & Ramdas, JRSSB 2024.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import isfinite, log1p

from rollout.evidence.counts import Counts
from rollout.evidence.errors import BadCounts, BadProcess, BadRate


class Family(Enum):
    """The three shapes of a bet."""

    RATIO = "R"
    """Pays when the concurrent path fails `parameter` times as often; legacy mostly succeeds."""
    HALF = "H"
    """Pays when the paths differ around one half; `parameter` is the share of wealth at stake."""
    SUCCESS = "S"
    """Pays when legacy succeeds where the concurrent path does not: few legacy jobs suffice."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse still counts as no worse: at most `ratio` x legacy plus `absolute`.

    Raises:
        BadRate: `ratio` is under 1 or `absolute` outside 0..1.
    """

    ratio: float = 1.0
    absolute: float = 0.0

    def __post_init__(self) -> None:
        if not (isfinite(self.ratio) and self.ratio >= 1.0 and 0.0 <= self.absolute < 1.0):
            raise BadRate("a margin needs ratio >= 1 and 0 <= absolute < 1", self, "use Margin()")

    @property
    def floor(self) -> float:
        """The d of the method: the share of legacy successes that counts as failures."""
        return self.absolute / self.ratio

    def limit(self, rate_legacy: float) -> float:
        """Give the rate a promotion is held against: ratio x legacy + absolute, at most 1."""
        return min(1.0, self.ratio * rate_legacy + self.absolute)

    def harmless(self, rate_legacy: float) -> float:
        """Give the largest concurrent rate under H0: ratio x q, at most 1.

        It is absolute x rate_legacy under `limit`, which is nothing at the rates of a healthy
        path. Between the two the bets may win, by a little: the promise ends here.
        """
        return min(1.0, self.ratio * (rate_legacy + self.floor * (1 - rate_legacy)))


@dataclass(frozen=True, slots=True)
class Bet:
    """One bet and its share of the stake.

    Raises:
        BadProcess: The parameter would stake a negative amount, on which H0 does not hold.
    """

    family: Family
    parameter: float
    weight: float

    def __post_init__(self) -> None:
        inside = {
            Family.RATIO: 1.0 < self.parameter < float("inf"),
            Family.HALF: 0.0 < self.parameter < 1.0,
            Family.SUCCESS: 0.0 < self.parameter < 1.0,
        }[self.family]
        if not inside or not 0.0 < self.weight <= 1.0:
            raise BadProcess(
                "a bet needs R > 1, or 0 < H < 1, or 0 < S < 1, and 0 < weight <= 1",
                (self.family.value, self.parameter, self.weight),
                "a stake must not be negative",
            )


def stake(
    family: Family, parameter: float, ratio: float, n_concurrent: int, n_legacy: int
) -> tuple[float, float]:
    """Give the centre c and the stake a of a bet; they see numbers of jobs, never outcomes."""
    if family is Family.RATIO:
        return 0.0, (parameter - 1) * n_legacy / (parameter * ratio * n_concurrent + n_legacy)
    if family is Family.HALF:
        return 0.5, 2 * parameter / ratio * min(1.0, n_legacy / (ratio * n_concurrent))
    return 1.0, (1 - parameter) * n_legacy / (ratio * (parameter * n_concurrent + n_legacy))


def log_likelihood(family: Family, parameter: float, margin: Margin, block: Counts) -> float:
    """Give ln L: by how much one block multiplies the wealth of one bet.

    Args:
        family: The shape of the bet.
        parameter: Its parameter, as in `Bet`.
        margin: What still counts as no worse.
        block: A closed block: at least one job on each path.

    Returns:
        ln L, finite. E[L] <= 1 while the concurrent path is within the margin.

    Raises:
        BadCounts: One path has no jobs, so that the block compares nothing.
    """
    if not block.both_paths:
        raise BadCounts("a block needs jobs on both paths", block, "merge ticks until it has them")
    at = odds(family, parameter, margin, block.n_concurrent, block.n_legacy)
    return settle((at,), block)[0]


Odds = tuple[float, float, float, float]
"""ln of what one job multiplies a bet by: a concurrent one that hit, one that did not, the same on
legacy. They follow from the numbers of jobs alone."""


def odds(
    family: Family, parameter: float, margin: Margin, n_concurrent: int, n_legacy: int
) -> Odds:
    """Give the odds of a block with so many jobs, at least one on each path."""
    r, d = margin.ratio, margin.floor
    c, a = stake(family, parameter, r, n_concurrent, n_legacy)
    b = a * r * n_concurrent / n_legacy
    return log1p(a * (1 - r * c)), log1p(-a * r * c), log1p(-b * (1 - c)), log1p(-b * (d - c))


def settle(at: Iterable[Odds], block: Counts) -> list[float]:
    """Give ln L of a block of that size under the odds of each bet."""
    hits, hits_legacy = block.k_concurrent, block.k_legacy
    goods, goods_legacy = block.n_concurrent - hits, block.n_legacy - hits_legacy
    return [
        hits * hit + goods * good + hits_legacy * hit_legacy + goods_legacy * good_legacy
        for hit, good, hit_legacy, good_legacy in at
    ]
