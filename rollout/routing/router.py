"""Route at submission: a decision from a reading of the control store kept for a second."""

import os
from dataclasses import dataclass

from rollout.routing.clock import Clock
from rollout.routing.decision import Decision
from rollout.routing.ports import ControlStore
from rollout.routing.rule import RouteTable

SNAPSHOT_S = 1.0

_pid = os.getpid()


def _after_fork() -> None:
    """Note the child's pid: asking the system in each decision would cost as much as the rest."""
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(slots=True)
class _Entry:
    table: RouteTable
    fresh_until: float
    pid: int


class Router:
    """Decides where new jobs go; the gate asks again at their start, so a second old is fine.

    A store that does not answer is also remembered for a second, so that submitting does not
    wait for its timeout each time. A forked process starts with no reading of its parent's.

    Args:
        control: Where the state is read.
        clock: Tells a reading's age.
        snapshot_s: Longest age of a reading, in seconds.
    """

    def __init__(self, control: ControlStore, clock: Clock, snapshot_s: float = SNAPSHOT_S) -> None:
        self._control = control
        self._monotonic = clock.monotonic
        self._snapshot_s = snapshot_s
        self._entries: dict[str, _Entry] = {}

    def decide(self, name: str, key: str) -> Decision:
        """Say where a job of this sub-pipeline with this key goes."""
        entry = self._entries.get(name)
        if entry is None or self._monotonic() > entry.fresh_until or entry.pid != _pid:
            entry = self._refresh(name)
        return entry.table.decide(key)

    def _refresh(self, name: str) -> _Entry:
        table = RouteTable(self._control.read(name))
        entry = _Entry(table, self._monotonic() + self._snapshot_s, _pid)
        self._entries[name] = entry
        return entry
