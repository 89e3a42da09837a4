"""The budget of shadow copies in this process's memory."""

from collections import defaultdict

from rollout.routing.clock import Clock
from rollout.shadow.copies import Shed


class MemoryShadowBudget:
    """`shadow.ports.ShadowBudget` for one process.

    `reachable` False plays a store that does not answer.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}
        self._taken: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.reachable = True

    def take(self, name: str, rate_per_s: float, per_day: int) -> str | None:
        """Take one copy's share of rate and day's budget; see `shadow.ports.ShadowBudget`."""
        if not self.reachable:
            return Shed.STORE
        now = self._clock.now()
        day = (name, f"{now:%Y-%m-%d}")
        if self._taken[day] >= per_day:
            return Shed.BUDGET
        at = now.timestamp()
        # A rate above one a second may come in a burst of one second's worth.
        slack = max(0.0, 1.0 - 1.0 / rate_per_s)
        free_at = max(self._free_at.get(name, 0.0), at)
        if free_at - at > slack + 1e-6:
            return Shed.RATE
        self._free_at[name] = free_at + 1.0 / rate_per_s
        self._taken[day] += 1
        return None

    def close(self) -> None:
        """There is nothing to close."""
