"""Do runs slow each other down? Run time against how many others ran when it started.

The level *at the start* is used and never the mean over a run: a long run meets more others just by
being long. Input size is taken out first where the log has it. A rank test says whether there is
anything, a ratio of medians how much; both must hold, in each half of the log by itself, so that
one slow afternoon is no contention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from math import log as ln
from statistics import median

from rollout.audit.job_log import JobLog
from rollout.audit.load import Curve, Runs, levels_at_start, runs_of
from rollout.audit.ranks import binned, correlation, thinned, thirds

RUNS_MIN = 60
"""Runs of a step below which nothing is said."""
TESTED_MAX = 6000
P_MAX = 0.001
RATIO_MIN = 1.2
RATIO_HALF_MIN = 1.1
SIZE_BINS = 12
SIZE_KNOWN_MIN = 0.8
ONE_MAX = 1.5
DOUBLING_MAX = 1.25
TOP_MIN, FLAT_MAX = 2.5, 1.15
SHORT_MAX = 0.62
"""The curve is flat when the upper half of the levels gets at most so much more done than the half
below, and so much less than runs that nobody slows; or no more than one and a bit."""
ALIKE = 0.9
"""When so many runs start at one level there is nothing to compare."""


class Answer(StrEnum):
    """What the test says."""

    SLOWED = "slowed"
    """Runs take longer the more others run."""
    NOT_SLOWED = "not slowed"
    """They do not, as far as a test with these numbers sees."""
    TOO_LITTLE = "not enough to say"
    """Too few runs, or the same number always ran."""


@dataclass(frozen=True, slots=True)
class Contention:
    """The test's answer for one step, or for all of them together.

    Attributes:
        step: Its name; "" is all steps.
        answer: What the test says.
        why: In words, when there is too little.
        runs: How many were compared.
        rho: Rank correlation of run time and level, size taken out.
        p: Its probability by chance.
        ratio: Median run time in the highest third of levels over the lowest, size taken out.
        ratio_raw: The same with size left in.
        low, high: Mean level in both thirds.
        sized: Whether input size was known and taken out.
        by_size: Whether the raw run times look slowed and size alone explains it.
    """

    step: str
    answer: Answer
    why: str = ""
    runs: int = 0
    rho: float = 0.0
    p: float = 1.0
    ratio: float = 1.0
    ratio_raw: float = 1.0
    low: float = 0.0
    high: float = 0.0
    sized: bool = False
    by_size: bool = False


def test_step(
    name: str, durations: Sequence[float], levels: Sequence[float], sizes: Sequence[float]
) -> Contention:
    """Test one step.

    Args:
        name: Its name.
        durations: Run times in seconds, in the order of their starts.
        levels: Others that ran when each started.
        sizes: Input size of each; NaN where unknown.
    """
    kept = [at for at in range(len(durations)) if durations[at] > 0]
    if len(kept) < RUNS_MIN:
        return Contention(
            name, Answer.TOO_LITTLE, f"{len(kept)} runs, {RUNS_MIN} are needed", len(kept)
        )
    kept = [kept[at] for at in thinned(len(kept), TESTED_MAX)]
    level = [float(levels[at]) for at in kept]
    counts = Counter(level)
    usual = max(counts.values()) / len(level)
    groups = thirds(level)
    if usual > ALIKE or groups is None:
        return Contention(
            name, Answer.TOO_LITTLE,
            f"{usual:.0%} of its runs began beside the same number of others", len(kept),
        )  # fmt: skip
    raw = [ln(durations[at]) for at in kept]
    size = [sizes[at] for at in kept]
    sized = sum(one > 0 for one in size) >= SIZE_KNOWN_MIN * len(size)
    plain = without_size(raw, size) if sized else raw
    rho, p = correlation(level, plain)
    ratio, ratio_raw = _ratio(groups, plain), _ratio(groups, raw)
    at_low, at_high = (sum(level[at] for at in group) / len(group) for group in groups)
    slowed = rho > 0 and p < P_MAX and ratio >= RATIO_MIN and _in_both_halves(level, plain)
    by_size = False
    if sized and not slowed:
        raw_rho, raw_p = correlation(level, raw)
        by_size = raw_rho > 0 and raw_p < P_MAX and ratio_raw >= RATIO_MIN
    return Contention(
        name, Answer.SLOWED if slowed else Answer.NOT_SLOWED, "", len(kept), rho, p, ratio,
        ratio_raw, at_low, at_high, sized, by_size,
    )  # fmt: skip


def without_size(logs: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Logarithms of run times with what input size explains taken out.

    First the line through log size and log time, then the median of each of a dozen size classes:
    what is left of any monotone effect inside one class is small.
    """
    known = [at for at in range(len(logs)) if sizes[at] > 0]
    xs, ys = [ln(sizes[at]) for at in known], [logs[at] for at in known]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    beta = (
        sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
        if spread
        else 0.0
    )
    rest = [
        y - beta * (ln(size) - x_mean) if size > 0 else y
        for y, size in zip(logs, sizes, strict=True)
    ]
    bin_of = binned(xs, SIZE_BINS)
    classes: dict[int, list[float]] = {}
    for at in known:
        classes.setdefault(bin_of(ln(sizes[at])), []).append(rest[at])
    middles = {one: median(values) for one, values in classes.items()}
    overall = median(rest)
    return [
        value - middles[bin_of(ln(size))] + overall if size > 0 else value
        for value, size in zip(rest, sizes, strict=True)
    ]


def _ratio(groups: tuple[Sequence[int], Sequence[int]], logs: Sequence[float]) -> float:
    """Median of the second group over that of the first; the values are logarithms."""
    low, high = (median(logs[at] for at in group) for group in groups)
    return exp(high - low)


def _in_both_halves(levels: Sequence[float], logs: Sequence[float]) -> bool:
    """Whether the effect stands in each half by itself; a half without contrast agrees."""
    half = len(levels) // 2
    for part in (slice(0, half), slice(half, None)):
        groups = thirds(levels[part])
        if groups is not None and _ratio(groups, logs[part]) < RATIO_HALF_MIN:
            return False
    return True


def alone_of(log: JobLog, runs: Runs) -> list[float]:
    """How long each run takes when few others run: the mean of its step, by size where it is known.

    Taken from the runs that began at the lowest levels, each watched until another one begins: what
    comes later may slow it (a lock is not always given to the first). Runs that are not watched to
    their end are censored observations, so their mean is the area under Kaplan and Meier's curve.
    """
    levels = levels_at_start(runs)
    by_step: dict[int, list[int]] = {}
    for at, row in enumerate(runs.rows):
        by_step.setdefault(log.step[row], []).append(at)
    alone = [0.0] * len(runs)
    for places in by_step.values():
        lowest = sorted(levels[at] for at in places)[max(0, len(places) // 10)]
        base = [at for at in places if levels[at] <= lowest]
        base = [base[at] for at in thinned(len(base), TESTED_MAX)]
        times = [runs.ends[at] - runs.starts[at] for at in base]
        sizes = [log.size[runs.rows[at]] for at in base]
        sized = sum(one > 0 for one in sizes) >= SIZE_KNOWN_MIN * len(sizes)
        line = _by_size(times, sizes) if sized else None
        units = [line(one) if line and one > 0 else 1.0 for one in sizes]
        watched = [
            (runs.starts[at + 1] if at + 1 < len(runs) else float("inf")) - runs.starts[at]
            for at in base
        ]
        mean = _mean_alone(times, watched, units)
        for at in places:
            size = log.size[runs.rows[at]]
            alone[at] = mean * (line(size) if line and size > 0 else 1.0)
    return alone


def _by_size(times: Sequence[float], sizes: Sequence[float]) -> Callable[[float], float]:
    """Run time that a size asks for: the mean of its class."""
    pairs = [(size, took) for size, took in zip(sizes, times, strict=True) if size > 0 and took > 0]
    if not pairs:
        return lambda size: sum(times) / len(times)
    bin_of = binned([size for size, _ in pairs], SIZE_BINS)
    classes: dict[int, list[float]] = {}
    for size, took in pairs:
        classes.setdefault(bin_of(size), []).append(took)
    middles = {one: sum(values) / len(values) for one, values in classes.items()}
    overall = sum(took for _, took in pairs) / len(pairs)
    return lambda size: middles.get(bin_of(size), overall)


_ENDS_MIN = 20


def _mean_alone(times: Sequence[float], watched: Sequence[float], units: Sequence[float]) -> float:
    """Mean of times over units where each is known only as far as it was watched."""
    plain = sum(t / unit for t, unit in zip(times, units, strict=True) if unit > 0) / len(times)
    seen = sorted(
        (min(took, until) / unit, took <= until)
        for took, until, unit in zip(times, watched, units, strict=True)
        if unit > 0
    )
    if sum(ended for _, ended in seen) < _ENDS_MIN:
        return plain
    area, share, last, left = 0.0, 1.0, 0.0, len(seen)
    for at, ended in seen:
        area, last = area + share * (at - last), at
        if ended:
            share *= 1 - 1 / left
        left -= 1
    # What is left of the curve behind the last observation takes as long as runs do at most.
    return min(plain, area + share * last)


def contentions(log: JobLog, runs: Runs) -> list[Contention]:
    """The test for all steps together (run times over their step's median), then for each step.

    A single step against how many of its own kind ran; all of them against everything that ran.
    """
    by_step: dict[int, list[int]] = {}
    for row in runs.rows:
        by_step.setdefault(log.step[row], []).append(row)
    tests = []
    for step, rows in by_step.items():
        of_step = runs if len(by_step) == 1 else runs_of(log, rows)
        durations = [end - start for start, end in zip(of_step.starts, of_step.ends, strict=True)]
        sizes = [log.size[row] for row in of_step.rows]
        tests.append(test_step(log.steps.texts[step], durations, levels_at_start(of_step), sizes))
    if len(by_step) > 1:
        tests.insert(0, _together(log, runs, by_step))
    return tests


def _together(log: JobLog, runs: Runs, by_step: dict[int, list[int]]) -> Contention:
    relative: dict[int, float] = {}
    for rows in by_step.values():
        kept = [row for row in rows if log.ended[row] > log.started[row]]
        if not kept:
            continue
        logs = [ln(log.ended[row] - log.started[row]) for row in kept]
        sizes = [log.size[row] for row in kept]
        if sum(one > 0 for one in sizes) >= SIZE_KNOWN_MIN * len(kept):
            logs = without_size(logs, sizes)
        middle = median(logs)
        relative.update((row, exp(one - middle)) for row, one in zip(kept, logs, strict=True))
    durations = [relative.get(row, 0.0) for row in runs.rows]
    return test_step("", durations, levels_at_start(runs), [float("nan")] * len(runs))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the curve of speed over level looks like.

    Attributes:
        holds: How many run at full speed at once; None while the curve still rises.
        top: The highest band of levels that was seen.
        speed: Work done per second there.
        worse: Whether it falls again.
        points: Level, speed and seconds.
    """

    holds: float | None
    top: float
    speed: float
    worse: bool
    points: tuple[tuple[float, float, float], ...]


def shape_of(curve: Curve) -> Shape | None:
    """Whether speed rises with the level or is flat from somewhere on; None without two bands."""
    points = curve.points()
    if len(points) < 2 or points[-1][0] < 1.5:
        return None
    best = max(speed for _, speed, _ in points)
    top, speed = points[-1][0], points[-1][1]
    upper = _speed(points, 0.6 * top, top) or speed
    half = _speed(points, 0.3 * top, 0.6 * top)
    level = sum(one[0] * one[2] for one in points if one[0] >= 0.6 * top) / sum(
        one[2] for one in points if one[0] >= 0.6 * top
    )
    doubling = upper / half if half else None
    flat = upper < ONE_MAX if doubling is None else doubling <= DOUBLING_MAX
    holds = upper if flat and upper <= SHORT_MAX * level else None
    if top < TOP_MIN and upper > FLAT_MAX:
        holds = None  # one and a bit of two: a lock, or a machine that is busy with something else
    if holds is not None:
        # All levels above it are held by the same few: more time, less noise.
        holds = _speed(points, 1.15 * holds, top) or holds
    return Shape(holds, top, speed, speed < 0.8 * best, tuple(points))


def _speed(points: Sequence[tuple[float, float, float]], low: float, high: float) -> float | None:
    """Speed over a band of levels."""
    band = [one for one in points if low <= one[0] <= high]
    held = sum(one[2] for one in band)
    return sum(one[1] * one[2] for one in band) / held if held else None
