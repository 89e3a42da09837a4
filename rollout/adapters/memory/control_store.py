"""The control store in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.adapters.memory.drill_plans import MemoryDrillPlans
from rollout.errors import ControlStoreUnreachable
from rollout.routing.decision import Reason
from rollout.routing.ports import Kill
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState


@dataclass
class MemoryControlStore(MemoryDrillPlans):
    """`routing.ports.ControlStore` and `drills.ports.DrillPlans` for one process.

    Args:
        clock: Tells when a heartbeat is forgotten.
        reachable: Set to False to play a store that does not answer.
    """

    url: str = "memory://"
    _states: dict[str, ControlState] = field(default_factory=dict)
    _kills: dict[str | None, Kill] = field(default_factory=dict)
    _supervised_until: datetime | None = None

    def _is_killed(self, name: str) -> bool:
        return name in self._kills or None in self._kills

    def read(self, name: str) -> Reading:
        """Read state, both kill latches and supervision; never raises."""
        if not self.reachable:
            return Reading(None, doubt=Reason.UNREACHABLE)
        state = self._states.get(name)
        until = self._supervised_until
        return Reading(
            state,
            killed=name in self._kills,
            killed_all=None in self._kills,
            supervised=until is not None and self.clock.now() < until,
            doubt=None if state else Reason.UNKNOWN,
            plan=self._plan_now(name),
        )

    def read_all(self, names: Sequence[str]) -> dict[str, Reading]:
        """Read several sub-pipelines."""
        return {name: self.read(name) for name in names}

    def project(self, state: ControlState, *, over: int | None = None) -> bool:
        """Write a newer state over an older one; False when the store has a newer one."""
        self._must_answer()
        known = self._states.get(state.name)
        newer = known is not None and known.revision >= state.revision
        if newer and (known is None or known.revision != over):
            return False
        self._states[state.name] = state
        return True

    def beat(self, owner: str, ttl: timedelta) -> None:
        """Say that a controller lives; forgotten after `ttl`."""
        self._must_answer()
        self._supervised_until = self.clock.now() + ttl

    def latch(self, kill: Kill) -> None:
        """Set a kill latch; it stays until `unlatch`."""
        self._must_answer()
        self._kills[kill.name] = kill

    def unlatch(self, name: str | None, kill_id: str | None) -> bool:
        """Remove a latch if it is this kill's; False when there is none or another's."""
        self._must_answer()
        held = self._kills.get(name)
        if held is None or held.kill_id != kill_id:
            return False
        del self._kills[name]
        return True

    def latches(self) -> list[Kill]:
        """List all kill latches, that of every sub-pipeline included."""
        self._must_answer()
        return list(self._kills.values())

    def ping(self) -> None:
        """Answer, or raise ControlStoreUnreachable when told to."""
        self._must_answer()

    def close(self) -> None:
        """There is nothing to close."""

    def _must_answer(self) -> None:
        if not self.reachable:
            raise ControlStoreUnreachable(self.url, ConnectionError("set unreachable"))
