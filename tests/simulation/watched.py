"""The servers: adapters in memory that write into the history what they did, as they do it.

Nothing else runs between an act and its line in the history, so the order of the lines is the order
of the acts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.memory.order_rows import Taken
from rollout.adapters.memory.queues import MemoryMessage, MemoryQueues
from rollout.errors import LedgerBusy
from rollout.jobs.claims import Claim, JobRef, Refusal
from rollout.jobs.order import Place
from rollout.jobs.ports import Committed, ConnectionSource, Handed, Refused
from rollout.jobs.resources import Need
from rollout.pilot.ports import HourRow, KeySpread, NewDecision, OpenSlow, WindowRow
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import PATIENCE_S, Kill, Waiting
from rollout.routing.rule import Reading, why_closed
from rollout.routing.stages import ControlState, Event
from tests.simulation.bulk import Bulk
from tests.simulation.history import label
from tests.simulation.sharing import Sharing

Tell = Callable[..., None]
"""Adds a line to the history: `tell(what, **facts)`."""


class WatchedLedger(MemoryLedger):
    """The ledger; claims, commits, changes and decisions are told.

    The evidence of trials is that of the bulk of all jobs (`bulk.py`); those that are simulated one
    by one are too few to be judged.
    """

    def __init__(self, tell: Tell, bulk: Bulk, clock: Clock) -> None:
        super().__init__(clock)
        self._tell = tell
        self._bulk = bulk
        self._clock = clock
        self._told: Counter[str] = Counter()
        self.held_rows: set[str] = set()
        self.sharing = Sharing(self._rows)

    def claim(
        self,
        name: str,
        job_id: str,
        delivered: JobPath,
        effects: Effects,
        worker: str,
        now: datetime,
        silent_after: timedelta,
        needs: Sequence[Need] = (),
    ) -> Claim | Refused:
        """Claim, and tell when it was granted, with what was in use then."""
        got = super().claim(name, job_id, delivered, effects, worker, now, silent_after, needs)
        if isinstance(got, Refused) and got.refusal is Refusal.TAKEN:
            self.sharing.rested((name, job_id), needs)
            self._tell("rests", job=label(name, job_id))
        if isinstance(got, Claim):
            self._tell(
                "claimed", name=name, job=label(name, job_id), attempt=got.attempt, path=delivered
            )
            for use in self.sharing.took(got, needs) if needs else ():
                self._tell("took", job=label(name, job_id), **use)
        return got

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Commit, and tell when it counted."""
        done = super().commit(claim, effects, write, now)
        if isinstance(done, Committed):
            job = label(claim.name, claim.job_id)
            self._tell(
                "committed", name=claim.name, job=job, attempt=claim.attempt,
                path=claim.path, unsafe=not effects.repeatable,
            )  # fmt: skip
        return done

    def resend_silent(
        self, name: str, silent_after: timedelta, now: datetime, limit: int
    ) -> list[Handed]:
        """Sweep, and tell whose worker was taken for dead."""
        handed = super().resend_silent(name, silent_after, now, limit)
        for one in handed:
            self._tell("silenced", job=label(name, one.job_id))
        return handed

    def _enter(self, place: Place) -> Taken:
        """Take a place, and tell it."""
        has_one = (place.name, place.job_id) in self._key_of
        taken = super()._enter(place)
        if not has_one:
            self._tell(
                "placed", name=place.name, key=place.key, job=label(place.name, place.job_id)
            )
        return taken

    def reopen(self, name: str, job_id: str, now: datetime) -> Handed:
        """Reopen, and tell."""
        handed = super().reopen(name, job_id, now)
        self._tell("reopened", job=label(name, job_id))
        return handed

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
        """Change, and tell; a row that somebody holds is waited for in vain."""
        self._must_be_free(name)
        after = super().change(
            name, event, actor, reason, now, scope_bp=scope_bp, seen_revision=seen_revision
        )
        self._tell_changes([after])
        return after

    def kill(
        self, kill: Kill, *, patience_s: float = PATIENCE_S, waiting: Waiting | None = None
    ) -> list[ControlState]:
        """Kill, and tell; a row that somebody holds is waited for in vain."""
        self._must_be_free(kill.name)
        states = super().kill(kill, patience_s=patience_s, waiting=waiting)
        self._tell_changes(states)
        self._tell("fenced", kill=kill.kill_id, names=[state.name for state in states])
        return states

    def rearm(
        self,
        name: str | None,
        actor: str,
        reason: str,
        now: datetime,
        *,
        seen_revision: int | None = None,
    ) -> list[ControlState]:
        """Rearm, and tell; a row that somebody holds is waited for in vain."""
        self._must_be_free(name)
        states = super().rearm(name, actor, reason, now, seen_revision=seen_revision)
        self._tell_changes(states)
        return states

    def _must_be_free(self, name: str | None) -> None:
        """Refuse what needs a control row that somebody holds; None needs every row."""
        if self.held_rows if name is None else name in self.held_rows:
            raise LedgerBusy("memory:", TimeoutError("held"), ("session 7 (psql)",))

    # Trials --------------------------------------------------------------------------------

    def decide(self, token: int, decision: NewDecision, trial: Trial) -> ControlState | None:
        """Decide, and tell; a row that somebody holds is waited for in vain."""
        self._must_be_free(decision.name)
        state = super().decide(token, decision, trial)
        if state is not None:
            self._tell(
                "decided", name=decision.name, window=decision.window, action=decision.action,
                event=decision.event, said=decision.sentence, answer=decision.answer,
            )  # fmt: skip
            self._tell_changes([state])
        return state

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """The bulk's windows."""
        with self._rows as rows:
            watched = [trial for trial in rows.trials.values() if trial.on_trial]
        return self._bulk.windows(watched, now)

    def hours(self, name: str, step: int) -> list[HourRow]:
        """The bulk's totals."""
        with self._rows as rows:
            trial = rows.trials[name]
        return self._bulk.hours(trial, self._clock.now()) if trial.step == step else []

    def open_slow(self, trial: Trial, now: datetime) -> list[OpenSlow]:
        """Nothing of the bulk is ever unfinished."""
        return []

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Each job of the bulk has a key of its own."""
        return KeySpread(limit, limit, 1.0)

    def pass_time(self, now: datetime, days_s: Mapping[str, float]) -> dict[str, LegacyProfile]:
        """Let time pass over the bulk's profile of legacy."""
        held = super().pass_time(now, days_s)
        return {name: self._bulk.profile(one, now) for name, one in held.items()}

    def _tell_changes(self, states: Sequence[ControlState]) -> None:
        """Tell the lines of the log that are new."""
        for state in states:
            log = self._rows.log[state.name]
            for record in log[self._told[state.name] :]:
                self._tell("changed", record=record)
            self._told[state.name] = len(log)


class WatchedStore(MemoryControlStore):
    """The control store; what is read is told. `wipe` plays a restart without memory."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        super().__init__(clock)
        self._tell = tell

    def read(self, name: str) -> Reading:
        """Read, and tell."""
        reading = super().read(name)
        self._tell("read", name=name, state=reading.state, closed=why_closed(reading))
        return reading

    def no_answer(self, name: str) -> None:
        """Tell that a reader got no answer."""
        self._tell("read", name=name, state=None, closed="unreachable")

    def wipe(self) -> None:
        """Forget everything, and tell."""
        self._states.clear()
        self._kills.clear()
        self._supervised_until = None
        self._tell("wiped")


class WatchedQueues(MemoryQueues):
    """The broker; what is sent is told, and workers that wait for it are woken.

    Attributes:
        on_send: Called with each message that was put into a queue.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self.on_send: Callable[[MemoryMessage], None] = lambda message: None
        self.seen: list[MemoryMessage] = []

    def send(self, message: MemoryMessage) -> None:
        """Send, and tell."""
        super().send(message)
        self.seen = [*self.seen[-20:], message]
        self._tell("sent", job=message.job_id, path=message.path)
        self.on_send(message)

    def give_back(self, message: MemoryMessage) -> None:
        """Put a taken message back, to be the next one that is taken; also after its worker died.

        Raises:
            BrokerUnreachable: It is still held.
        """
        self._must_answer()
        with self._lock:
            if message in self._taken:
                del self._taken[message]
                self._queues[(message.name, message.path)].appendleft(message)
        self.on_send(message)

    def again(self, message: MemoryMessage) -> None:
        """Deliver a copy of a message that was sent before, as brokers may."""
        MemoryQueues.send(self, replace(message))
        self.on_send(message)

    def take_out(self, jobs: set[JobRef] | None = None) -> list[MemoryMessage]:
        """Lose messages that wait: of these jobs, or all."""
        lost: list[MemoryMessage] = []
        for queue in self._queues.values():
            gone = [one for one in queue if jobs is None or (one.name, one.job_id) in jobs]
            for message in gone:
                queue.remove(message)
            lost += gone
        return lost

    def empty(self) -> bool:
        """Whether no message waits and no worker holds one."""
        return not self._taken and not any(self._queues.values())

    def holds(self) -> dict[str, Any]:
        """What is left, for a message to a person."""
        waiting = [one.job_id for queue in self._queues.values() for one in queue]
        return {"waiting": waiting, "taken": [one.job_id for one in self._taken]}
