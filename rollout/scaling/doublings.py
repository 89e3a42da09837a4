"""Throughput with twice the workers over throughput before, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, sqrt
from statistics import fmean, stdev

from rollout.scaling.slices import Measured

T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179,
)  # fmt: skip
"""Student's t, 0.975, for 1, 2, ... degrees of freedom; a test holds them to scipy's."""


@dataclass(frozen=True, slots=True)
class Doubling:
    """What twice the workers bought.

    Attributes:
        few: Workers before.
        many: Workers after.
        ratio: Throughput after over throughput before; the geometric mean over the rounds.
        low: Lower end of the 95 % interval; None with fewer than three rounds.
        high: Upper end.
        rounds: Rounds that hold both.
    """

    few: int
    many: int
    ratio: float
    low: float | None
    high: float | None
    rounds: int


def doublings(measured: Measured) -> list[Doubling]:
    """Compare each level with the one before it, round by round: what drifts hits both alike."""
    levels = measured.levels
    pairs = []
    for few, many in pairwise(levels):
        before = {one.number: one.rate for one in measured.at(few)}
        logs = [
            log(one.rate / before[one.number])
            for one in measured.at(many)
            if one.rate > 0 and before.get(one.number, 0.0) > 0
        ]
        if logs:
            pairs.append(_of(few, many, logs))
    return pairs


def _of(few: int, many: int, logs: Sequence[float]) -> Doubling:
    mean = fmean(logs)
    if len(logs) < 3:
        return Doubling(few, many, exp(mean), None, None, len(logs))
    half = T_975[min(len(logs) - 1, len(T_975)) - 1] * stdev(logs) / sqrt(len(logs))
    return Doubling(few, many, exp(mean), exp(mean - half), exp(mean + half), len(logs))
