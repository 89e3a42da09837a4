"""What watches many pilots at once: the twins of `ErrorRate`, `FastPath` and `CycleTime`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.evidence.twin import Flags, Floats, TwinBetting, TwinSinglePath
from rollout.evidence import fast_path
from rollout.evidence.cycle_time import MEDIAN, TAIL
from rollout.evidence.error_rate import PROCESS as ERROR
from rollout.evidence.restarts import SCOPE_STAKE


class TwinFastPath:
    """`FastPath` for many pilots; all of them have a legacy rate that leaves the cap at .10."""

    def __init__(self, pilots: int) -> None:
        self.alone = TwinSinglePath(fast_path.ALONE, pilots)
        self.compared = TwinBetting(fast_path.CORROBORATION, pilots)
        self.running = np.zeros(pilots, dtype=bool)
        self.latched = np.zeros(pilots, dtype=bool)

    def change_scope(self, which: Flags | None = None) -> None:
        """Begin a step: of all pilots, or of these."""
        chosen = slice(None) if which is None else which
        self.alone.pend[chosen] += SCOPE_STAKE
        self.running[chosen] = False

    def observe(self, tick: Floats, tick_s: float) -> None:
        """Take in one tick of every pilot."""
        self.alone.observe(tick[0], tick[1], tick_s, fast_path.CAP_MIN)
        if self.running.any():
            # Pilots at rest are carried along and get a fresh comparison when theirs begins.
            self.compared.observe(tick, tick_s, self.running)
        leaning = self.alone.statistic >= 1.0
        beginning = leaning & ~self.running
        if beginning.any():
            self.compared.restart(beginning)
        self.running = leaning
        alone = self.alone.statistic >= fast_path.LIMIT
        both = alone & (self.compared.statistic >= fast_path.CORROBORATION_LIMIT)
        self.latched |= both & ~beginning


class TwinErrors:
    """Error rate and fast path together: what reverts on failures."""

    def __init__(self, pilots: int) -> None:
        self.rate = TwinBetting(ERROR, pilots)
        self.fast = TwinFastPath(pilots)
        self.latched = np.zeros(pilots, dtype=bool)

    @property
    def harm(self) -> Floats:
        """The larger of the two statistics, as the harm guard of a promotion sees it."""
        larger: Floats = np.maximum(self.rate.statistic, self.fast.alone.statistic)
        return larger

    def change_scope(self, which: Flags | None = None) -> None:
        """Begin a step: of all pilots, or of these."""
        self.rate.change_scope(which)
        self.fast.change_scope(which)

    def observe(self, ticks: Sequence[Floats], tick_s: float) -> None:
        """Take in one tick: `ticks` holds the one array of failures."""
        self.rate.observe(ticks[0], tick_s)
        self.fast.observe(ticks[0], tick_s)
        self.latched |= self.fast.latched | (self.rate.statistic >= ERROR.limit)


class TwinCycle:
    """`CycleTime` for many pilots."""

    def __init__(self, pilots: int) -> None:
        self.median = TwinBetting(MEDIAN, pilots)
        self.tail = TwinBetting(TAIL, pilots)
        self.latched = np.zeros(pilots, dtype=bool)

    @property
    def statistic(self) -> Floats:
        """The mean of the two tests, one number per pilot."""
        mean: Floats = (self.median.statistic + self.tail.statistic) / 2
        return mean

    def change_scope(self, which: Flags | None = None) -> None:
        """Begin a step: of all pilots, or of these."""
        self.median.change_scope(which)
        self.tail.change_scope(which)

    def observe(self, ticks: Sequence[Floats], tick_s: float) -> None:
        """Take in one tick: `ticks` holds the counts at the median and at the tail."""
        self.median.observe(ticks[0], tick_s)
        self.tail.observe(ticks[1], tick_s)
        self.latched |= self.statistic >= MEDIAN.limit
