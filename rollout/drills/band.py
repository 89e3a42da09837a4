"""What is normal for a path: a band that a few odd windows cannot spoil.

Times are judged by their logarithms: cycle times vary by factors, and a path that is twice as
slow throughout then has a band twice as high. A limit lies three spreads above the median. The
spread is the larger of two robust ones, each scaled to a normal distribution's standard deviation:

- the median absolute deviation (MAD), which half of the windows must be odd to move without bound;
  mean and standard deviation are carried off by the first incident;
- the way from the median to the ninth decile. A path with a daily rush is slow for some hours every
  day; more than half of its windows know nothing of it, so by the MAD alone each rush would be an
  incident. The price: a tenth of odd windows, and not half, can widen the band.

Sources: Hampel, JASA 1974 (median and MAD, the 1.4826); Leys et al., J. Exp. Soc. Psychol. 2013
(MAD against the standard deviation); Hubert & Vandervieren, CSDA 2008 (why a skewed distribution
needs a wider fence on its long side); Shewhart 1931 (three spreads).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median

from rollout.evidence.sample import PathSample
from rollout.evidence.stored import Number, StoredRow
from rollout.figures import figures_text

WINDOWS_MIN = 20
"""With fewer windows a MAD is off by half and more, so there is no band."""

SPREADS = 3.0
"""How many spreads above the median a limit lies; one window in 740 of a normal distribution."""

NORMAL = 1.4826
"""A normal distribution's standard deviation over its MAD."""

DECILE_NORMAL = 1.2816
"""The ninth decile of a normal distribution, in standard deviations."""

FACTOR_MIN = 1.5
"""A time limit is at least this many medians: what is smaller is a trend and no incident."""

ERROR_ROOM = 0.01
"""An error limit is at least a percentage point above the usual rate."""

ODDS = 50.0
"""A count of failures is outside when chance at the limit's rate gives it once in 50 at most."""

TIME_S_MIN = 1e-6
"""The ledger counts microseconds; a shorter time has no logarithm worth having."""


@dataclass(frozen=True, slots=True)
class Band(StoredRow):
    """The largest error rate, p95 cycle time and age of an open job that are normal."""

    error_rate_max: Number
    p95_s_max: Number
    oldest_s_max: Number

    def why_outside(self, sample: PathSample) -> str | None:
        """Name the measure, its value and its limit in one sentence; None is inside.

        A window in which no job finished can be outside by its oldest open job only.
        """
        if too_many(sample.failed, sample.jobs, self.error_rate_max):
            share = sample.failed / sample.jobs
            return (
                f"{sample.failed} of {sample.jobs} jobs failed ({share:.1%}),"
                f" normal is at most {self.error_rate_max:.1%}."
            )
        if sample.p95_s is not None and sample.p95_s > self.p95_s_max:
            return (
                f"The p95 cycle time was {_s(sample.p95_s)},"
                f" normal is at most {_s(self.p95_s_max)}."
            )
        if sample.oldest_s > self.oldest_s_max:
            return (
                f"The oldest open job was {_s(sample.oldest_s)} old,"
                f" normal is at most {_s(self.oldest_s_max)}."
            )
        return None


def too_many(failed: int, jobs: int, rate_max: float) -> bool:
    """Say whether so many failures are more than chance at `rate_max` would give.

    By the Chernoff bound P(X >= k) <= exp(-n KL(k/n || p)), which needs no table, is exact when
    all jobs failed, and errs towards "inside" between.

    Source: Hoeffding, JASA 1963, theorem 1.
    """
    if failed == 0 or failed <= jobs * rate_max:
        return False
    if rate_max <= 0.0:
        return True
    share = failed / jobs
    surprise = share * log(share / rate_max)
    if failed < jobs:
        surprise += (1 - share) * log((1 - share) / (1 - rate_max))
    return jobs * surprise >= log(ODDS)


def band_from(samples: Sequence[PathSample], windows_min: int = WINDOWS_MIN) -> Band | None:
    """Draw the band from windows that are believed to be normal; up to a tenth may be odd.

    Args:
        samples: In any order; windows in which no job finished are left out.
        windows_min: Fewer windows with jobs than this are too little.

    Returns:
        The band; None when there is too little.
    """
    used = [sample for sample in samples if sample.jobs > 0]
    if len(used) < max(windows_min, 1):
        return None
    p95 = [sample.p95_s for sample in used if sample.p95_s is not None]
    # A young open job is no news: its age is held against the usual cycle time at least.
    usual_s = median(p95)
    oldest = [max(sample.oldest_s, usual_s) for sample in used]
    return Band(_error_rate_max(used), _time_max(p95), _time_max(oldest))


def _time_max(times: Sequence[float]) -> float:
    logs = sorted(log(max(time, TIME_S_MIN)) for time in times)
    middle = median(logs)
    spread = NORMAL * median(abs(each - middle) for each in logs)
    rush = (logs[len(logs) * 9 // 10] - middle) / DECILE_NORMAL
    return exp(middle + max(SPREADS * max(spread, rush), log(FACTOR_MIN)))


def _error_rate_max(samples: Sequence[PathSample]) -> float:
    """Give the usual rate plus room: a point, once the rate, or how it varies beyond chance.

    Windows of few jobs mostly have no failure at all, so their median says 0. The calmer four
    fifths taken together see a small rate and not the incidents.
    """
    rates = sorted((sample.failed / sample.jobs, sample.failed, sample.jobs) for sample in samples)
    calm = rates[: max(1, len(rates) * 4 // 5)]
    together = sum(failed for _, failed, _ in calm) / sum(jobs for *_, jobs in calm)
    usual = max(together, median(rate for rate, *_ in rates))
    spread = NORMAL * median(abs(rate - usual) for rate, *_ in rates)
    chance = median(usual * (1 - usual) / jobs for *_, jobs in rates)
    beyond = sqrt(max(0.0, spread * spread - chance))  # Laney, Quality Engineering 2002
    return min(1.0, usual + max(ERROR_ROOM, usual, SPREADS * beyond))


def _s(seconds: float) -> str:
    return f"{figures_text(seconds)} s"
