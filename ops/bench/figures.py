"""A figure and its target; taking turns; medians."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be; `at_least` for one that should be large."""

    key: str
    limit: float
    unit: str
    says: str
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether the value reaches the target."""
        return value >= self.limit if self.at_least else value <= self.limit


def take_turns(actions: Mapping[str, Callable[[], object]], rounds: int) -> Samples:
    """Time each action once a round, in seconds; its own first call is not counted."""
    for action in actions.values():
        action()
    samples: Samples = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            samples[name].append(time.perf_counter() - started)
    return samples


def cpu_ns(action: Callable[[], object], calls: int) -> float:
    """CPU of one call in nanoseconds, the loop's own taken off."""
    turns = range(calls)
    started = time.process_time_ns()
    for _ in turns:
        pass
    empty = time.process_time_ns() - started
    started = time.process_time_ns()
    for _ in turns:
        action()
    return (time.process_time_ns() - started - empty) / calls


def medians_us(samples: Samples) -> dict[str, float]:
    """Median of each, in microseconds."""
    return {name: round(median(values) * 1e6, 1) for name, values in samples.items()}


def difference_ms(ours: Sequence[float], bare: Sequence[float]) -> float:
    """Median over the rounds of what ours took longer, in milliseconds."""
    return round(median(a - b for a, b in zip(ours, bare, strict=True)) * 1e3, 3)


def ratio(ours: Sequence[float], bare: Sequence[float]) -> float:
    """Ratio of medians."""
    return round(median(ours) / median(bare), 3)
