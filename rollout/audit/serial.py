"""One at a time: a lock in a log whose workers were always all busy.

When the number of runs at once never changes, run times cannot be compared over levels. A lock
shows all the same: whoever holds it finishes alone, so ends never come close to each other. Of
independent workers that drift, some ends fall close together, and how many is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from rollout.audit.job_log import JobLog
from rollout.audit.load import Runs, levels_at_start
from rollout.audit.ranks import quantile

ENDS_MIN = 40
CLOSE = 0.25
"""Ends closer than this share of their mean distance count as close."""
FEWER = 0.25
"""A lock leaves at most this share of the close ends that independent workers would have."""


@dataclass(frozen=True, slots=True)
class Serial:
    """What the distances of ends say.

    Attributes:
        level: Runs at once meanwhile.
        ends: Distances that were compared.
        close: Share of them that are close.
        expected: The same for independent workers.
        each_s: Mean distance: how long the one thing is held each time.
        spread_evenly: Whether it looks like one at a time.
    """

    level: int
    ends: int
    close: float
    expected: float
    each_s: float
    spread_evenly: bool


def serial_of(log: JobLog, runs: Runs) -> Serial | None:
    """Compare the ends while all workers went straight from run to run; None if too few."""
    levels = levels_at_start(runs)
    counts: dict[int, int] = {}
    for one in levels:
        counts[one + 1] = counts.get(one + 1, 0) + 1
    level = max(counts, key=counts.__getitem__, default=0)
    if level < 2:
        return None
    last_end: dict[int, float] = {}
    straight: list[bool] = []
    order = range(len(runs))
    taken = [runs.ends[at] - runs.starts[at] for at in order]
    usual = quantile(sorted(taken), 0.5)
    for at in order:
        worker = log.worker[runs.rows[at]]
        before = last_end.get(worker)
        straight.append(
            worker >= 0 and before is not None and runs.starts[at] - before < 0.25 * usual
            and levels[at] + 1 == level
        )  # fmt: skip
        last_end[worker] = runs.ends[at]
    ends = sorted(runs.ends[at] for at in order if straight[at])
    gaps = [b - a for a, b in pairwise(ends) if b - a < usual]
    if len(gaps) < ENDS_MIN:
        return None
    each_s = sum(gaps) / len(gaps)
    close = sum(one < CLOSE * each_s for one in gaps) / len(gaps)
    # The next end of any of the others, whose rest of a run is anywhere within it.
    expected = 1 - (1 - CLOSE / level) ** (level - 1)
    evenly = close <= FEWER * expected and _mixed(taken, straight, level, each_s, runs)
    return Serial(level, len(gaps), close, expected, each_s, evenly)


def _mixed(taken: list[float], straight: list[bool], level: int, each_s: float, runs: Runs) -> bool:
    """Whether independent workers would have lost their even spacing, or never had it.

    Workers that all take exactly as long and began evenly apart stay evenly apart without any lock.
    They would not if run times vary, nor if several began at the same time.
    """
    kept = [one for one, ok in zip(taken, straight, strict=True) if ok]
    mean = sum(kept) / len(kept)
    spread = sqrt(sum((one - mean) ** 2 for one in kept) / len(kept))
    if spread * sqrt(len(kept) / level) > each_s:
        return True
    first = list(runs.starts[: level * 2])
    together = sum(b - a < CLOSE * each_s for a, b in pairwise(first))
    return together >= max(1, level // 2)
