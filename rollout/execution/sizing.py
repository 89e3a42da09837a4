"""How large a batch is: by records, by bytes, or sought while the chain runs. Pure."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Any, Literal

from rollout.execution.errors import WrongDeclaration

OVERHEAD_SHARE = 0.05
"""The share of a batch's time that handing it on may cost; from the issue, not measured."""

# Batches at one size before it is judged: a median of five forgets two freaks.
_OBSERVED = 5
# The next size is at most so many times this one: the first measurements are the worst.
_GROWTH_MAX = 4
# A size within a fifth of the one sought stays: it is measured, the other one only computed.
_NEAR = 0.2


def weigh(record: Any) -> int:
    """Bytes of a record: its own when it is text or bytes, else those of its JSON."""
    if isinstance(record, bytes | bytearray):
        return len(record)
    return len((record if isinstance(record, str) else json.dumps(record, default=repr)).encode())


@dataclass(frozen=True)
class Bytes:
    """Batches of at most so many bytes; a record that is larger is a batch of its own."""

    most: int
    weigh: Callable[[Any], int] = weigh


@dataclass(frozen=True)
class Auto:
    """Sought within bounds: the smallest size at which handing on costs under 5 %."""

    least: int = 1
    most: int = 10_000


Size = int | Bytes | Auto | Literal["auto"]


def read_size(size: Size) -> int | Bytes | Auto:
    """Check a size.

    Raises:
        WrongDeclaration: It is none.
    """
    if size == "auto":
        return Auto()
    if isinstance(size, Auto) and 1 <= size.least <= size.most:
        return size
    if isinstance(size, Bytes) and size.most >= 1:
        return size
    if isinstance(size, int) and not isinstance(size, bool) and size >= 1:
        return size
    raise WrongDeclaration(
        f"size must be a number of records, Bytes(most), 'auto' or Auto(least, most), got {size!r}",
        "500 records is a start; docs/execution.md says when to take which",
    )


@dataclass
class Sizer:
    """Seeks the size from what batches cost.

    A batch of n records costs its hand-offs, which do not depend on n, and its work, which grows
    with it; so the smallest size with a share of at most 5 % follows from one measured size.
    """

    bounds: Auto
    size: int = 0
    _costs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_OBSERVED))

    def __post_init__(self) -> None:
        self.size = self.size or self.bounds.least

    def observe(self, records: int, handing_s: float, work_s: float) -> None:
        """Take in a landed batch: its records, seconds of its hand-offs, seconds of its work."""
        if records != self.size:
            return  # it was cut before the size changed, or the source ended
        self._costs.append((handing_s, work_s))
        if len(self._costs) < _OBSERVED:
            return
        sought = self.sought()
        if abs(sought - self.size) > _NEAR * self.size:
            self.size = sought
            self._costs.clear()

    def sought(self) -> int:
        """The size that the costs at the present one ask for."""
        handing_s = median(cost[0] for cost in self._costs)
        work_s = median(cost[1] for cost in self._costs)
        if work_s <= 0:
            wanted: float = self.size * _GROWTH_MAX
        else:
            wanted = self.size * handing_s * (1 / OVERHEAD_SHARE - 1) / work_s
        wanted = min(wanted, self.size * _GROWTH_MAX)
        return max(self.bounds.least, min(self.bounds.most, ceil(wanted)))
