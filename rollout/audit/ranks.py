"""Medians, rank tests and slopes on plain lists: what the analysis needs of statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erfc, sqrt
from statistics import median


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted values, between neighbours by line; NaN of none."""
    if not ordered:
        return float("nan")
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranked = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for at in range(begin, end + 1):
            ranked[order[at]] = (begin + end) / 2 + 1
        begin = end + 1
    return ranked


def correlation(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation and its two-sided p by the normal approximation.

    Source: Kendall, "Rank Correlation Methods": variance 1 / (n - 1) without dependence.
    """
    count = len(one)
    if count < 3:
        return 0.0, 1.0
    first, second = ranks(one), ranks(other)
    middle = (count + 1) / 2
    both = sum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    spread = sqrt(sum((a - middle) ** 2 for a in first) * sum((b - middle) ** 2 for b in second))
    if spread == 0:
        return 0.0, 1.0
    rho = both / spread
    return rho, erfc(abs(rho) * sqrt(count - 1) / sqrt(2))


def thirds(by: Sequence[float]) -> tuple[list[int], list[int]] | None:
    """Places where `by` is in its lowest and in its highest third; None without contrast.

    Where one value fills the middle third and an outer one with it, that outer group is what lies
    beyond this value, if that is a twentieth of all.
    """
    ordered = sorted(by)
    third = max(1, len(ordered) // 3)
    low_end, high_begin = ordered[third - 1], ordered[-third]
    enough = max(5, len(ordered) // 20)
    low = [at for at, one in enumerate(by) if one <= low_end]
    high = [at for at, one in enumerate(by) if one >= high_begin]
    if low_end == high_begin:
        below = [at for at, one in enumerate(by) if one < low_end]
        above = [at for at, one in enumerate(by) if one > low_end]
        if len(below) >= enough:
            low = below
        elif len(above) >= enough:
            high = above
        else:
            return None
    return low, high


def thinned(count: int, most: int) -> range:
    """Evenly spread positions, at most so many."""
    return range(0, count, max(1, -(-count // most)))


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Theil and Sen's slope with a range of 95 %: robust against single odd days.

    Source: Sen (1968); the range takes the pairs' order statistics by Kendall's variance.
    """
    pairs = sorted(
        (ys[b] - ys[a]) / (xs[b] - xs[a])
        for a in range(len(xs))
        for b in range(a + 1, len(xs))
        if xs[b] != xs[a]
    )
    count = len(xs)
    half = 1.96 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(pairs) - half) / 2))
    high = min(len(pairs) - 1, int((len(pairs) + half) / 2))
    return median(pairs), pairs[low], pairs[high]


def binned(keys: Sequence[float], bins: int) -> Callable[[float], int]:
    """A function that says in which of some equally full bins a value lies."""
    ordered = sorted(keys)
    edges = sorted({ordered[len(ordered) * at // bins] for at in range(1, bins)})

    def bin_of(value: float) -> int:
        low, high = 0, len(edges)
        while low < high:
            middle = (low + high) // 2
            if value < edges[middle]:
                high = middle
            else:
                low = middle + 1
        return low

    return bin_of
