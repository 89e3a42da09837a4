"""The kill switch, half by half: starts are blocked in the store, commits fenced in the ledger.

The first half needs the control store alone, so that a shell sets it before it loads what only
the ledger needs. The second half and the jobs' way back are `control/change.py`.
"""

from dataclasses import dataclass
from uuid import uuid4

from rollout.control.reason import need_reason
from rollout.errors import ControlStoreUnreachable
from rollout.routing.clock import Clock
from rollout.routing.ports import ControlStore, Kill
from rollout.routing.stages import ControlState, Event


@dataclass(frozen=True, slots=True)
class Blocked:
    """The first half: no further concurrent start. `store_error` says why it does not hold."""

    kill: Kill
    starts_blocked_ms: float | None
    store_error: str | None


@dataclass(frozen=True, slots=True)
class Fenced:
    """Both halves: no concurrent commit either. `ledger_error` says why the second fails."""

    blocked: Blocked
    states: tuple[ControlState, ...]
    commits_fenced_ms: float | None
    ledger_error: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The sub-pipelines that it covers."""
        return tuple(state.name for state in self.states if state.name != "*")


@dataclass(frozen=True, slots=True)
class KillReport:
    """What is true after a kill. A half that failed carries its error instead of milliseconds."""

    kill: Kill
    names: tuple[str, ...]
    starts_blocked_ms: float | None
    store_error: str | None
    commits_fenced_ms: float | None
    ledger_error: str | None
    queued_sent_back: int
    running_abandoned: int
    unsafe_finishing: int
    broker_error: str | None

    @property
    def complete(self) -> bool:
        """Whether both halves hold."""
        return self.store_error is None and self.ledger_error is None

    @property
    def holds(self) -> bool:
        """Whether at least one half holds, which alone stops starts where it is reached."""
        return self.store_error is None or self.ledger_error is None


def block_starts(
    control: ControlStore, clock: Clock, name: str | None, actor: str, reason: str
) -> Blocked:
    """Latch a kill in the control store; a store that does not answer is reported, not raised.

    Args:
        control: The store that every start asks.
        clock: Time.
        name: The sub-pipeline; None for all. Whether it exists, only the ledger knows.
        actor: Who acts.
        reason: Why.

    Raises:
        ReasonMissing: Nothing was changed.
    """
    need_reason(Event.KILL, reason)
    kill = Kill(uuid4().hex, name, actor, reason, clock.now())
    began = clock.monotonic()
    try:
        control.latch(kill)
    except ControlStoreUnreachable as error:
        return Blocked(kill, None, str(error))
    return Blocked(kill, (clock.monotonic() - began) * 1000, None)
