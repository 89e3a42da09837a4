"""The control state from outside: its fast copy in the store, its truth in the ledger, its log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from rollout.routing.effects import Effects
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState, Event

PATIENCE_S = 3.0
"""A kill waits this long for a lock that somebody holds; then it says who, and what holds."""

Waiting = Callable[[str], None]
"""Told in a sentence what a kill waits for."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One pull of the kill switch; `name` None is every sub-pipeline."""

    kill_id: str
    name: str | None
    actor: str
    reason: str
    at: datetime


class ControlStore(Protocol):
    """The fast copy of the control state that every start asks. It is never the truth."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    def read(self, name: str) -> Reading:
        """Read state, both kill latches and supervision in one round trip.

        Never raises: a store that does not answer, is empty or unreadable is a Reading with
        `doubt` set, because the caller's next step is the same.
        """
        ...

    def read_all(self, names: Sequence[str]) -> dict[str, Reading]:
        """Read several sub-pipelines as `read` does, in as few round trips as can be."""
        ...

    def project(self, state: ControlState, *, over: int | None = None) -> bool:
        """Write a newer state over an older one; False when the store has a newer one.

        `over` is the revision of one that may be written over although it is newer: the ledger
        that it came from was taken back.
        """
        ...

    def beat(self, owner: str, ttl: timedelta) -> None:
        """Say that a controller lives; forgotten after `ttl`."""
        ...

    def latch(self, kill: Kill) -> None:
        """Set a kill latch; it stays until `unlatch`."""
        ...

    def unlatch(self, name: str | None, kill_id: str | None) -> bool:
        """Remove a latch if it is this kill's; False when there is none or another's."""
        ...

    def latches(self) -> list[Kill]:
        """List all kill latches, that of every sub-pipeline included."""
        ...


MET_MAX = 10_000
"""A kill counts so many of the jobs it meets, under the fence: a million would hold it up."""


@dataclass(frozen=True, slots=True)
class Met:
    """Unfinished jobs on the concurrent path at the moment at which a kill moved the fence.

    Counted up to MET_MAX each: that many means so many or more.
    """

    queued: int
    running: int


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """One line of the append-only log of control changes.

    `met` belongs to kills. `change_id` grows with each line of a ledger's log; None outside of one.
    """

    name: str
    at: datetime
    event: Event
    actor: str
    reason: str
    before: ControlState
    after: ControlState
    met: Met | None = None
    change_id: int | None = field(default=None, compare=False)


class ControlLedger(Protocol):
    """The half of the ledger that holds what people and the controller decided."""

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        ...

    def ensure(self, name: str, effects: Effects, holdback_bp: int, now: datetime) -> ControlState:
        """Create the control row of a declared sub-pipeline, killed when all are."""
        ...

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        ...

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        ...

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        ...

    def change(
        self,
        name: str,
        event: Event,
        actor: str,
        reason: str,
        now: datetime,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> ControlState:
        """Apply an event of the stage table and log it, in one transaction.

        Raises UnknownSubPipeline, StaleRevision, IllegalTransition, ScopeOutOfRange, and
        NotShadowable for shadow runs of paths that touch the world; then nothing
        was changed.
        """
        ...

    def kill(
        self, kill: Kill, *, patience_s: float = PATIENCE_S, waiting: Waiting | None = None
    ) -> list[ControlState]:
        """Latch the kill and move the fence, waiting only for commits already in their last act.

        When this returns, no claim and no commit of the concurrent path made on the old fence
        can succeed. Idempotent per kill id.

        Args:
            kill: What is killed, by whom and why.
            patience_s: Longest wait for a lock that somebody holds.
            waiting: Told once, in a sentence, who is in the way, when that takes longer than a
                moment; maybe from another thread.

        Raises:
            UnknownSubPipeline: Nothing was changed.
            LedgerBusy: Somebody held a lock for longer; nothing was changed.
        """
        ...

    def rearm(
        self,
        name: str | None,
        actor: str,
        reason: str,
        now: datetime,
        *,
        seen_revision: int | None = None,
    ) -> list[ControlState]:
        """Lift a latch; what was killed by itself stays killed when `name` is None.

        Raises UnknownSubPipeline, StaleRevision, IllegalTransition when there is no latch or
        `kill --all` holds it; then nothing was changed.
        """
        ...

    def all_latch(self) -> ControlState:
        """The row of `kill --all`; its name is '*'."""
        ...

    def transitions(
        self, name: str, limit: int, before: int | None = None
    ) -> list[TransitionRecord]:
        """Read the log, newest first; `before`: only changes with a smaller id.

        Raises UnknownSubPipeline.
        """
        ...

    def last_changes(self) -> dict[str, TransitionRecord]:
        """Read the newest change of each sub-pipeline that has any."""
        ...
