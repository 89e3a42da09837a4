"""What people and the controller do to a sub-pipeline: every guard lives here.

The ledger's row is the truth and is changed first; the control store gets a copy at once and,
should that fail, from the controller's next tick. Kill is the exception in its order: the latch
in the store comes first, because it is the faster half, and the fence in the ledger second.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from rollout.errors import (
    BrokerUnreachable,
    ControlStoreUnreachable,
    IllegalTransition,
    LedgerUnreachable,
    ReasonMissing,
    UnknownSubPipeline,
)
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Handed, Ledger, Queues
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore, Kill, Met
from rollout.routing.stages import ControlState, Event

_NEEDS_REASON = frozenset({Event.REVERT, Event.KILL, Event.REARM})
_RECALL_BATCH = 500
_RECENT = 20
"""Changes among which a kill is looked for that was made just now."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is in force in the ledger; `not_projected` says why the store lags."""

    state: ControlState
    not_projected: str | None


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


class FirstStep(Protocol):
    """Knows the ladder, which is the policy's."""

    def first_bp(self, name: str, holdback_bp: int) -> int | None:
        """The first step in basis points; None where cap and holdback leave none.

        Raises WrongPolicy.
        """
        ...


class Changes:
    """Use cases that change the control state."""

    def __init__(
        self,
        ledger: Ledger,
        control: ControlStore,
        queues: Queues,
        clock: Clock,
        ladder: FirstStep,
    ) -> None:
        self._ladder = ladder
        self._ledger = ledger
        self._control = control
        self._queues = queues
        self._clock = clock

    def change(
        self,
        name: str,
        event: Event,
        actor: str,
        reason: str,
        *,
        scope_bp: int | None = None,
        seen_revision: int | None = None,
    ) -> Changed:
        """Apply one event of the stage table (kill and rearm have their own methods).

        A start that names no scope begins at the first step of the policy's ladder.

        Raises:
            ReasonMissing, UnknownSubPipeline, StaleRevision, IllegalTransition, ScopeOutOfRange,
            NotShadowable, WrongPolicy, LedgerUnreachable: nothing was changed.
        """
        _need_reason(event, reason)
        if event is Event.START and scope_bp is None:
            scope_bp = self._first_step(name)
        state = self._ledger.change(
            name,
            event,
            actor,
            reason,
            self._clock.now(),
            scope_bp=scope_bp,
            seen_revision=seen_revision,
        )
        return Changed(state, self.project([state]))

    def _first_step(self, name: str) -> int:
        state = self._ledger.control(name)
        first = self._ladder.first_bp(name, state.holdback_bp)
        if first is None:
            hint = f"`rollout policy show {name}` has scope_bp_max and holdback_bp"
            raise IllegalTransition(name, Event.START, "while its policy leaves no step", hint)
        return first

    def kill(self, name: str | None, actor: str, reason: str) -> KillReport:
        """Send everything to legacy now; see promise 3 in the README.

        Does the half it can when the store or the ledger is away, and reports the other.

        Raises:
            ReasonMissing: Nothing was changed.
            UnknownSubPipeline: The ledger answers and knows no such name; nothing was changed.
        """
        _need_reason(Event.KILL, reason)
        kill = Kill(uuid4().hex, name, actor, reason, self._clock.now())
        blocked_ms, store_error = self._block_starts(kill)
        try:
            states, fenced_ms, ledger_error = self._fence_commits(kill)
        except UnknownSubPipeline:
            self._lift_mistaken(kill)
            raise
        names = tuple(state.name for state in states if state.name != "*")
        self.project(states)
        queued, running, unsafe, broker_error = self._send_back(names, kill)
        return KillReport(
            kill=kill,
            names=names or ((name,) if name else ()),
            starts_blocked_ms=blocked_ms,
            store_error=store_error,
            commits_fenced_ms=fenced_ms,
            ledger_error=ledger_error,
            queued_sent_back=queued,
            running_abandoned=running,
            unsafe_finishing=unsafe,
            broker_error=broker_error,
        )

    def _lift_mistaken(self, kill: Kill) -> None:
        """Take back the latch of a name that does not exist; left behind, it stops nothing."""
        with suppress(ControlStoreUnreachable):
            self._control.unlatch(kill.name, kill.kill_id)

    def _block_starts(self, kill: Kill) -> tuple[float | None, str | None]:
        began = self._clock.monotonic()
        try:
            self._control.latch(kill)
        except ControlStoreUnreachable as error:
            return None, str(error)
        return (self._clock.monotonic() - began) * 1000, None

    def _fence_commits(self, kill: Kill) -> tuple[list[ControlState], float | None, str | None]:
        began = self._clock.monotonic()
        try:
            states = self._ledger.kill(kill)
        except LedgerUnreachable as error:
            return [], None, str(error)
        return states, (self._clock.monotonic() - began) * 1000, None

    def _send_back(self, names: tuple[str, ...], kill: Kill) -> tuple[int, int, int, str | None]:
        """Send queued and abandoned jobs to legacy; the controller does what this leaves."""
        queued = running = unsafe = 0
        broker_error: str | None = None
        try:
            for name in names:
                waiting, working, error = self.recall(name, Reason.KILLED, running=True)
                broker_error = broker_error or error
                # A controller that sees the kill moves jobs too, so count what the fence met.
                met = self._met(name, kill) or Met(waiting, working)
                queued += met.queued
                running += met.running if self._ledger.effects(name).repeatable else 0
            unsafe = sum(
                count.jobs
                for count in self._ledger.open_counts()
                if count.name in names
                and count.path is JobPath.CONCURRENT
                and count.state == JobState.STARTED
            )
        except LedgerUnreachable as error:
            broker_error = broker_error or str(error)
        return queued, running, unsafe, broker_error

    def _met(self, name: str, kill: Kill) -> Met | None:
        """What this kill met there; None where an earlier kill holds or has been lifted since."""
        for record in self._ledger.transitions(name, _RECENT):
            if record.event is Event.KILL and record.after.kill_id == kill.kill_id:
                return record.met
        return None

    def recall(self, name: str, reason: Reason, *, running: bool) -> tuple[int, int, str | None]:
        """Move concurrent jobs to legacy and send them; how many waited, how many ran."""
        waiting, error = self._recall_all(name, reason, running=False)
        working = 0
        if running:
            working, late = self._recall_all(name, Reason.FENCED, running=True)
            error = error or late
        return waiting, working, error

    def _recall_all(self, name: str, reason: Reason, *, running: bool) -> tuple[int, str | None]:
        total = 0
        while True:
            handed = self._ledger.recall(
                name, running=running, reason=reason, now=self._clock.now(), limit=_RECALL_BATCH
            )
            total += len(handed)
            if (error := self.send(handed)) is not None or len(handed) < _RECALL_BATCH:
                return total, error

    def send(self, handed: list[Handed]) -> str | None:
        """Send jobs that the ledger has moved to legacy; an error is mended by the sweeper."""
        if not handed:
            return None
        try:
            self._queues.send_to_legacy(handed)
        except BrokerUnreachable as error:
            return str(error)
        return None

    def rearm(
        self, name: str | None, actor: str, reason: str, *, seen_revision: int | None = None
    ) -> list[Changed]:
        """Lift a kill; what it covered is in force again.

        Raises:
            ReasonMissing, UnknownSubPipeline, StaleRevision, IllegalTransition,
            LedgerUnreachable: nothing was changed.
        """
        _need_reason(Event.REARM, reason)
        states = self._ledger.rearm(
            name, actor, reason, self._clock.now(), seen_revision=seen_revision
        )
        changed = []
        for state in states:
            said = self.project([state])
            try:
                latch = None if state.name == "*" else state.name
                self._control.unlatch(latch, state.lifted_kill_id)
            except ControlStoreUnreachable as error:
                said = str(error)
            if state.name != "*":
                changed.append(Changed(state, said))
        return changed

    def project(self, states: Sequence[ControlState]) -> str | None:
        """Copy changed states to the control store; an error is mended by the next tick."""
        try:
            for state in states:
                if state.name != "*":
                    self._control.project(state)
        except ControlStoreUnreachable as error:
            return str(error)
        return None

    def retry(self, job_id: str) -> str | None:
        """Send a kept failure again, to legacy; the text says why the broker did not take it.

        Raises:
            UnknownJob, IllegalTransition, LedgerUnreachable: nothing was changed.
        """
        record = self._ledger.job(job_id)
        if record.state is JobState.FAILED and not record.envelope:
            raise IllegalTransition(
                job_id,
                "retry",
                "because it ran in process and no message of it is kept",
                f"call run() of {record.name!r} again with its arguments",
            )
        return self.send([self._ledger.reopen(job_id, self._clock.now())])


def _need_reason(event: Event, reason: str) -> None:
    if event in _NEEDS_REASON and not reason.strip():
        raise ReasonMissing(event)
