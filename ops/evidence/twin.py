"""The core's tests for many pilots at once: the same arithmetic on arrays.

Counts are arrays of shape (4, pilots): n_concurrent, k_concurrent, n_legacy, k_legacy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rollout.evidence.betting import Bet, Family, Margin
from rollout.evidence.process import BettingProcess
from rollout.evidence.restarts import PERIOD_S, SCOPE_STAKE, STEADY_STAKE
from rollout.evidence.single_path import SinglePathProcess

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]


def log_likelihoods(bets: Sequence[Bet], margin: Margin, blocks: Floats) -> Floats:
    """Give ln L, shape (bets, pilots), for closed blocks of shape (4, pilots)."""
    n, k, m, j = blocks
    r, d = margin.ratio, margin.floor
    logs = np.empty((len(bets), n.size))
    odds = r * n / m
    hit = np.flatnonzero(k + j)
    for family in Family:
        rows = [row for row, bet in enumerate(bets) if bet.family is family]
        if not rows:
            continue
        par = np.array([[bets[row].parameter] for row in rows])
        # np.log(1 + x) is five times as fast as log1p here and errs by 1e-16 a job. Most blocks
        # have no hit, so what a hit changes is added only where there is one.
        if family is Family.RATIO:
            b = (par - 1) * m / (par * r * n + m) * odds
            logs[rows] = m * np.log(1 - b * d) if d else 0.0
            c, a = 0.0, b[:, hit] / odds[hit]
        elif family is Family.HALF:
            a = 2 * par / r * np.minimum(1.0, m / (r * n))
            b = a * odds
            logs[rows] = n * np.log(1 - a * r / 2) + m * np.log(1 - b * (d - 0.5))
            c, a = 0.5, a[:, hit]
        else:
            a = (1 - par) * m / (r * (par * n + m))
            b = a * odds
            logs[rows] = n * np.log(1 - a * r) + m * np.log(1 - b * (d - 1))
            c, a = 1.0, a[:, hit]
        b = b[:, hit]
        gain = k[hit] * np.log((1 + a * (1 - r * c)) / (1 - a * r * c))
        gain += j[hit] * np.log((1 - b * (1 - c)) / (1 - b * (d - c)))
        logs[np.ix_(np.array(rows), hit)] += gain
    return logs


class TwinBetting:
    """`BettingProcess` for many pilots."""

    def __init__(self, process: BettingProcess, pilots: int) -> None:
        self.process = process
        self.weights = np.array([bet.weight for bet in process.bets])
        start = 0.0 if process.restarting else 1.0
        self.wealth = np.full((len(process.bets), pilots), start)
        self.pend = np.zeros(pilots)
        self.open = np.zeros((4, pilots))
        self.statistic = np.full(pilots, start)

    def change_scope(self, which: Flags | None = None) -> None:
        """Begin a step: of all pilots, or of these."""
        chosen = slice(None) if which is None else which
        self.pend[chosen] += SCOPE_STAKE
        self.open[:, chosen] = 0.0

    def restart(self, which: Flags) -> None:
        """Give these pilots a fresh test."""
        start = 0.0 if self.process.restarting else 1.0
        self.wealth[:, which] = start
        self.open[:, which] = 0.0
        self.statistic[which] = start

    def observe(self, tick: Floats, tick_s: float, among: Flags | None = None) -> None:
        """Take in one tick of every pilot; blocks close only `among` these, when given."""
        if self.process.restarting:
            self.pend += STEADY_STAKE * tick_s / PERIOD_S
        self.open += tick
        both = (self.open[0] > 0) & (self.open[2] > 0)
        closed = np.flatnonzero(both if among is None else both & among)
        if not closed.size:
            return
        logs = log_likelihoods(self.process.bets, self.process.margin, self.open[:, closed])
        wealth = (self.wealth[:, closed] + self.pend[closed]) * np.exp(np.minimum(logs, 690.0))
        self.wealth[:, closed] = np.minimum(wealth, self.process.wealth_max)
        self.statistic[closed] = self.weights @ self.wealth[:, closed]
        self.pend[closed] = 0.0
        self.open[:, closed] = 0.0


class TwinSinglePath:
    """`SinglePathProcess` for many pilots."""

    def __init__(self, process: SinglePathProcess, pilots: int) -> None:
        self.process = process
        self.weights = np.array([weight for _, weight in process.rates])
        self.wealth = np.zeros((len(process.rates), pilots))
        self.pend = np.zeros(pilots)
        self.statistic = np.zeros(pilots)

    def observe(self, n: Floats, k: Floats, tick_s: float, cap: float) -> None:
        """Take in one tick of every pilot's concurrent path."""
        self.pend += STEADY_STAKE * tick_s / PERIOD_S
        seen = np.flatnonzero(n > 0)
        if not seen.size:
            return
        rate = np.array([[rate] for rate, _ in self.process.rates])
        logs = k[seen] * np.log(rate / cap) + (n[seen] - k[seen]) * np.log((1 - rate) / (1 - cap))
        logs = np.where(rate > cap, logs, 0.0)
        wealth = (self.wealth[:, seen] + self.pend[seen]) * np.exp(np.minimum(logs, 690.0))
        self.wealth[:, seen] = np.minimum(wealth, self.process.wealth_max)
        self.statistic[seen] = self.weights @ self.wealth[:, seen]
        self.pend[seen] = 0.0
