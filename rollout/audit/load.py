"""How many ran at once: sweeps over starts and ends."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rollout.audit.job_log import JobLog

_SAME_S = 0.002
"""A run that ends and the next of its worker overlap by so much in logs that keep milliseconds."""
_ENOUGH = 0.01
"""Share of the busy time that a band of levels needs to be a point of the curve."""
_RARE = 0.001
"""A level that holds for less of the busy time is rounding."""


@dataclass(slots=True)
class Runs:
    """Runs with a start and an end, the earliest start first.

    Attributes:
        rows: Their rows in the log.
        starts: Their starts, sorted.
        ends: Their ends, in the order of `rows`.
        ends_sorted: The same, sorted.
    """

    rows: array[int]
    starts: array[float]
    ends: array[float]
    ends_sorted: array[float]

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    @property
    def begins(self) -> float:
        """The first start."""
        return self.starts[0]

    @property
    def finishes(self) -> float:
        """The last end."""
        return self.ends_sorted[-1]

    @property
    def span_s(self) -> float:
        """From the first start to the last end."""
        return self.finishes - self.begins

    @property
    def work_s(self) -> float:
        """Sum of all run times."""
        return sum(self.ends) - sum(self.starts)

    def level(self, at: float) -> int:
        """How many ran at a time."""
        return bisect_right(self.starts, at) - bisect_right(self.ends_sorted, at)


def runs_of(log: JobLog, rows: Sequence[int] | None = None) -> Runs:
    """The runs of a log, or those among some rows; only those in the span that a capture names."""
    spans = [one.span for one in log.captures]
    chosen = list(log.rows_with_run() if rows is None else rows)
    if any(spans):
        chosen = [row for row in chosen if _inside(log, row, spans[log.capture[row]])]
    ordered = array("l", log.order_by_start(chosen))
    starts = array("d", (log.started[row] for row in ordered))
    ends = array("d", (log.ended[row] for row in ordered))
    return Runs(ordered, starts, ends, array("d", sorted(ends)))


def _inside(log: JobLog, row: int, span: tuple[float, float] | None) -> bool:
    return span is None or span[0] <= log.started[row] < span[1]


def levels_at_start(runs: Runs) -> array[int]:
    """For each run how many others ran when it started."""
    levels, ended = array("l"), 0
    ends = runs.ends_sorted
    slack = min(_SAME_S, 0.05 * max(0.0, runs.work_s) / max(1, len(runs)))
    for number, start in enumerate(runs.starts):
        while ended < len(ends) and ends[ended] <= start + slack:
            ended += 1
        levels.append(max(0, number - ended))
    return levels


@dataclass(slots=True)
class Curve:
    """Time and progress at each number of runs at once.

    Attributes:
        time_s: Seconds at each level; index is the level.
        progress: Work done meanwhile, in seconds that it takes when nothing else runs, each run's
            spread evenly over its time.
        ended: The same, counted where runs ended.
        starts: Runs that began there.
    """

    time_s: list[float]
    progress: list[float]
    starts: list[int]
    ended: list[float]

    def speed(self, low: int, high: int) -> float:
        """Work done per second over some levels: 1 is one run that nobody slows.

        The mean of two estimates that err in opposite ways where load comes in short waves:
        spread evenly, a run's progress rounds the curve off; counted where runs end, a peak that
        is drained within a run looks too quick. Where runs end in lockstep, most of them end at
        levels that hold for a few milliseconds, and the first is used alone.
        """
        time_s = sum(self.time_s[low : high + 1])
        done = sum(self.progress[low : high + 1])
        if not self.lockstep:
            done = (done + sum(self.ended[low : high + 1])) / 2
        return done / time_s if time_s > 0 else float("nan")

    @property
    def lockstep(self) -> bool:
        """Whether more than a tenth of the work ends at levels that are hardly ever held."""
        rare = _ENOUGH * self.busy_s
        at_rare = sum(
            done for done, held in zip(self.ended, self.time_s, strict=True) if held < rare
        )
        return at_rare > 0.1 * sum(self.ended)

    @property
    def busy_s(self) -> float:
        """Seconds in which anything ran."""
        return sum(self.time_s[1:])

    @property
    def top(self) -> int:
        """The highest level that was really held."""
        busy, above = self.busy_s, 0.0
        for level in range(len(self.time_s) - 1, 0, -1):
            above += self.time_s[level]
            if above >= _RARE * busy:
                return level
        return 0

    def points(self) -> list[tuple[float, float, float]]:
        """Level, speed and seconds for each band of levels that was held long enough to say."""
        enough = _ENOUGH * self.busy_s
        points: list[tuple[float, float, float]] = []
        low = 1
        while low <= self.top:
            high = max(low, int(low * 1.15))
            held = sum(self.time_s[low : high + 1])
            while held < enough and high < self.top:
                high += 1
                held = sum(self.time_s[low : high + 1])
            if held >= enough and sum(self.starts[low : high + 1]) >= 5:
                middle = sum(
                    at * self.time_s[at] for at in range(low, high + 1) if at < len(self.time_s)
                )
                points.append((middle / held, self.speed(low, high), held))
            low = high + 1
        return points


def curve_of(runs: Runs, alone_s: Sequence[float]) -> Curve:
    """Sweep over all starts and ends; `alone_s` is how long each run takes when nothing else runs.

    A run's progress is spread evenly over its time: completions that come in lockstep would else
    give a level of a few milliseconds a whole run's worth.
    """
    order = sorted(range(len(runs)), key=runs.ends.__getitem__)
    rates = array("d", (
        alone / (end - start) if end > start else 0.0
        for alone, start, end in zip(alone_s, runs.starts, runs.ends, strict=True)
    ))  # fmt: skip
    time_s, progress, starts, done = [0.0], [0.0], [0], [0.0]
    level, rate, last, ended = 0, 0.0, runs.begins, 0
    for number in range(len(runs) + 1):
        until = runs.starts[number] if number < len(runs) else float("inf")
        # A run of no length ends when it starts, and not before.
        while ended < len(order) and order[ended] < number and runs.ends[order[ended]] <= until:
            at = runs.ends[order[ended]]
            time_s[level] += at - last
            progress[level] += rate * (at - last)
            done[level] += alone_s[order[ended]]
            rate, level, last = rate - rates[order[ended]], level - 1, at
            ended += 1
        if number == len(runs):
            break
        time_s[level] += until - last
        progress[level] += rate * (until - last)
        rate, level, last = rate + rates[number], level + 1, until
        if level == len(time_s):
            time_s.append(0.0)
            progress.append(0.0)
            starts.append(0)
            done.append(0.0)
        starts[level] += 1
    return Curve(time_s, progress, starts, done)


def slots_of(log: JobLog, curve: Curve) -> int:
    """Workers, as the inputs state them or as many as were seen at work at once."""
    stated = [one.slots for one in log.captures]
    if all(stated) and stated and log.captures[0].clock:
        together = (
            sum(one or 0 for one in stated) if _together(log) else max(one or 0 for one in stated)
        )
        if curve.top <= together * 1.25:
            return together
    return max(1, curve.top)


def _together(log: JobLog) -> bool:
    """Whether the captures of a log cover the same time."""
    if len(log.captures) < 2:
        return True
    begins, finishes = [float("inf")] * len(log.captures), [float("-inf")] * len(log.captures)
    for row in range(len(log)):
        at, capture = log.ended[row], log.capture[row]
        if at < begins[capture]:
            begins[capture] = at
        if at > finishes[capture]:
            finishes[capture] = at
    return max(begins) < min(finishes)


def over_time(
    begins: float, finishes: float, froms: Sequence[float], untils: Sequence[float], bins: int
) -> list[float]:
    """Mean number of open intervals in each of some equal parts of a span; both lists sorted."""
    width = (finishes - begins) / bins if finishes > begins else 1.0
    held = [0.0] * (bins + 1)
    # Each begin adds what is left of its part and a whole to all later parts; ends take it away.
    change = [0.0] * (bins + 2)
    for sign, times in ((1.0, froms), (-1.0, untils)):
        for at in times:
            place = min(max((at - begins) / width, 0.0), float(bins))
            part = int(place)
            held[min(part, bins)] += sign * (part + 1 - place)
            change[part + 1] += sign
    level, levels = 0.0, []
    for part in range(bins):
        level += change[part]
        levels.append(max(0.0, level + held[part]))
    return levels
