"""What the crew needs of a graph or a chain, and the clock and spans that they share."""

import time
from typing import Any, Protocol, TypeVar

now_s = time.perf_counter
TaskT = TypeVar("TaskT")

Span = tuple[Any, int, float, float, bool]
"""Task, number of the slot, start and end by the monotonic clock in seconds, and if it was well."""


class Shape(Protocol[TaskT]):
    """What the crew needs of a graph or a chain. All but `execute` is called under the lock."""

    def take(self, last: TaskT | None) -> TaskT | None:
        """Start a task, or say that none can start now; `last` is what this slot just ended."""
        ...

    def execute(self, task: TaskT) -> Any:
        """Do its work, without the lock."""
        ...

    def settle(self, task: TaskT, value: Any, error: BaseException | None) -> None:
        """Take in how it ended; its slot is free now."""
        ...

    has_limits: bool
    """Whether any task may have a time limit."""

    def limit_s(self, task: TaskT) -> float | None:
        """Its time limit in seconds."""
        ...

    def expire(self, task: TaskT, times: int) -> None:
        """It ran over its limit, for the first or the second time."""
        ...

    def has_ready(self) -> bool:
        """Whether another slot may find work."""
        ...

    def has_left(self) -> bool:
        """Whether anything is not finished."""
        ...

    def tell_stop(self, reason: str) -> None:
        """The run stops: cancel what has not started, tell what runs."""
        ...

    def name(self, task: TaskT) -> str:
        """The task in words."""
        ...

    def idle_reason(self) -> str:
        """Why a free slot has nothing to do."""
        ...
