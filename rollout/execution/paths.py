"""Longest paths through a graph: what to start first, and how fast a run can be. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rollout.execution.declaration import Barrier
from rollout.execution.graph import Graph

# How much a new run time counts against those remembered: half, so that two runs forget a freak.
_NEW_SHARE = 0.5


def expected_s(graph: Graph, run_times: Mapping[str, float]) -> list[float]:
    """Give each step's expected run time in seconds.

    Args:
        run_times: Seconds by step name from earlier runs; for `load[3]` also that of `load`.

    Returns:
        One per place. A step nobody remembers takes the median of those remembered, or 1, so
        that a graph without memory is ordered by the number of steps that remain.
    """
    known = [seconds for seconds in run_times.values() if seconds > 0]
    unknown = median(known) if known else 1.0
    return [
        _expected(node.name, isinstance(node, Barrier), run_times, unknown) for node in graph.nodes
    ]


def _expected(name: str, is_barrier: bool, run_times: Mapping[str, float], unknown: float) -> float:
    if name in run_times:
        return run_times[name]
    if is_barrier:
        return 0.0
    return run_times.get(name.partition("[")[0], unknown)


def remaining_s(graph: Graph, seconds: Sequence[float]) -> list[float]:
    """Longest way from the start of each step to the end of the graph, in seconds."""
    remaining = [0.0] * len(graph.nodes)
    children = graph.children
    for place in reversed(graph.order):
        longest = 0.0
        for child in children[place]:  # every run asks, and max() with a generator takes thrice
            if remaining[child] > longest:
                longest = remaining[child]
        remaining[place] = seconds[place] + longest
    return remaining


def critical_path(graph: Graph, seconds: Sequence[float]) -> list[int]:
    """Places of the longest path, from a root to a leaf."""
    remaining = remaining_s(graph, seconds)
    path: list[int] = []
    choices: Sequence[int] = [place for place, parents in enumerate(graph.parents) if not parents]
    while choices:
        path.append(max(choices, key=remaining.__getitem__))
        choices = graph.children[path[-1]]
    return path


@dataclass(frozen=True)
class Bounds:
    """No run can be faster than the largest of these, in seconds.

    Attributes:
        critical_path_s: The longest path.
        work_s: All work together; a run with `workers` slots takes at least its share.
        resource_s: For the tightest resource, weight times run time over its capacity.
    """

    critical_path_s: float
    work_s: float
    workers: int
    resource_s: float = 0.0

    @property
    def bound_s(self) -> float:
        """The largest."""
        return max(self.critical_path_s, self.work_s / self.workers, self.resource_s)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "critical_path_s": self.critical_path_s,
            "work_s": self.work_s,
            "workers": self.workers,
            "resource_s": self.resource_s,
            "bound_s": self.bound_s,
        }


def bounds(graph: Graph, seconds: Sequence[float], workers: int) -> Bounds:
    """The bounds of a graph whose steps take so long."""
    taken = dict.fromkeys(graph.capacities, 0.0)
    for node, took in zip(graph.nodes, seconds, strict=True):
        for resource, weight in node.resources.items():
            taken[resource] += weight * took
    return Bounds(
        critical_path_s=max(remaining_s(graph, seconds), default=0.0),
        work_s=sum(seconds),
        workers=workers,
        resource_s=max(
            (sum_s / graph.capacities[name] for name, sum_s in taken.items()), default=0.0
        ),
    )


def remembered(before: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    """Run times for the next run: what is new counts half against what was remembered."""
    after = dict(before)
    for name, seconds in measured.items():
        old = before.get(name, seconds)
        after[name] = old + (seconds - old) * _NEW_SHARE
    return after
