"""Asks for a job that runs whether a kill has passed, so that a long path can stop early."""

from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore

LOOK_S = 0.1
"""At least so long between two looks at the store, in seconds: steps may be very short."""


class KillWatch:
    """Whether a concurrent path that runs may go on; once no, it stays no.

    Only a kill ends a run. A store that does not answer, and a scope that shrinks, do not: what has
    started may end, and the fence keeps what a kill forbids from being committed.
    """

    __slots__ = ("_clock", "_control", "_goes_on", "_looked_at", "_name")

    def __init__(self, control: ControlStore, clock: Clock, name: str) -> None:
        self._control = control
        self._clock = clock
        self._name = name
        self._goes_on = True
        self._looked_at = float("-inf")

    def __call__(self) -> bool:
        """Look at the store, unless that was done a moment ago."""
        now = self._clock.monotonic()
        if self._goes_on and now - self._looked_at >= LOOK_S:
            self._looked_at = now
            reading = self._control.read(self._name)
            self._goes_on = not reading.is_killed
        return self._goes_on
