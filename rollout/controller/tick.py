"""One turn of the controller: reconcile kills, project, beat, recall, sweep, fold, judge, prune.

One controller leads; a standby only waits for the lease. Each step is safe to repeat and safe to
lose, so a controller that dies anywhere in it is made good by the next tick, its own or a second
controller's. The heartbeat follows the projection: it says that the control state was read from the
ledger and written to the store just now.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.control.change import Changes
from rollout.controller.sweep import Sweep
from rollout.errors import (
    ControlStoreUnreachable,
    LedgerBusy,
    LedgerUnreachable,
    WrongSettings,
)
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.ports import Ledger, OpenCount, Queues
from rollout.jobs.resource_calls import ResourceCalls
from rollout.log import log
from rollout.pilot.pilots import Pilots, PilotsReport
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore, Kill
from rollout.routing.stages import ControlState, Event, Stage

_SENT_BATCH = 500
_FOLD_BATCH = 2000
_FOLD_BATCHES_A_TICK = 20
_PRUNE_BATCH = 1000
_RECALL_S = 1.0
"""A turn moves jobs of killed sub-pipelines for this long; a long queue takes many turns."""
_FOLD_S = 2.0
_FENCES_S = 1.0
"""A turn waits this long, in all, for kills whose rows somebody holds."""
_FENCE_PATIENCE_S = 0.5
_BEATS = 4
"""A long turn beats so many times while one heartbeat lasts."""
_STOOD_SHARE = 1 / 3
"""Of `silent_after`: workers renew as often."""
_STOOD_S = 5.0
"""A busy machine holds up a process for a second or two."""
_STEP_S_MAX = 2.0
"""The wall clock may move this much more or less than the monotonic one between two ticks."""


@dataclass(slots=True)
class TickReport:
    """What a tick saw and did; an error names the part that did not answer."""

    at: datetime
    leads: bool = False
    pilots: PilotsReport = field(default_factory=PilotsReport)
    states: list[ControlState] = field(default_factory=list)
    open_counts: list[OpenCount] = field(default_factory=list)
    unaccounted: dict[str, int] = field(default_factory=dict)
    recalled: int = 0
    resent_lost: int = 0
    resent_silent: int = 0
    sent_next: int = 0
    called: int = 0
    folded: int = 0
    pruned: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TickLimits:
    """How long is too long.

    `lost_after`: an accepted job whose message no queue seems to hold is sent again.
    `silent_after`: a started job whose worker was not heard of is sent again.
    `supervision`: without a tick for this long, jobs go to legacy.
    `keep`: committed jobs are deleted after this long; unfinished and failed ones never.
    """

    lost_after: timedelta
    silent_after: timedelta
    supervision: timedelta
    keep: timedelta


class Tick:
    """The controller's use case; `turn` is called by the loop in `rollout.controller`."""

    def __init__(
        self,
        ledger: Ledger,
        control: ControlStore,
        queues: Queues,
        changes: Changes,
        clock: Clock,
        limits: TickLimits,
        owner: str,
        pilots: Pilots,
        capacities: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._pilots = pilots
        self._ledger = ledger
        self._control = control
        self._key_order = KeyOrder(ledger, queues, clock)
        self._resource_calls = ResourceCalls(ledger, queues, clock)
        self._capacities = capacities
        self._changes = changes
        self._clock = clock
        self._limits = limits
        self._sweeper = Sweep(
            ledger, queues, changes.recall, clock, limits.lost_after, limits.silent_after
        )
        self._owner = owner
        self._here_since = clock.monotonic()
        self._beaten_at = clock.monotonic()
        self._recalled_last = ""
        self._held_up: set[str | None] = set()
        self._clocks = (clock.now(), clock.monotonic())

    def turn(self) -> TickReport:
        """Do one tick. Raises nothing that an absent server can cause; the report names it."""
        report = TickReport(self._clock.now())
        self._mind_the_clock(report.at)
        try:
            self._ledger_steps(report)
        except LedgerUnreachable as error:
            report.errors.append(str(error))
            self._here_since = self._clock.monotonic()
        return report

    def rest(self, wait: Callable[[float], object], tick_s: float) -> None:
        """Wait until the next turn, and notice when this process stood still meanwhile.

        Whoever was paused for long was seldom paused alone: a machine, a pod or a whole plant was.
        Its workers could not renew either, and their jobs must not be taken for those of the dead.
        """
        began = self._clock.monotonic()
        wait(tick_s)
        stood_s = self._clock.monotonic() - began - tick_s
        if stood_s > max(_STOOD_S, self._limits.silent_after.total_seconds() * _STOOD_SHARE):
            log.warning("this controller stood still", seconds=round(stood_s, 1))
            self._here_since = self._clock.monotonic()

    def stop(self) -> None:
        """Stop leading; a standby takes over at its next turn."""
        with suppress(LedgerUnreachable):  # then the lease runs out by itself
            self._pilots.stop()

    def _ledger_steps(self, report: TickReport) -> None:
        token = self._pilots.lead(report.at)
        report.leads = token is not None
        if token is None:
            report.states = self._ledger.controls()
            return
        self._supervise(report)
        try:
            self._move_and_judge(report)
        except LeadershipLost:
            report.leads = False

    def _move_and_judge(self, report: TickReport) -> None:
        open_counts = self._ledger.open_counts()
        self._recall(open_counts, report)
        self._keep_up(report)
        self._sweep(open_counts, report)
        # What a worker that died after a commit has not sent; seldom any.
        report.sent_next = self._key_order.send_stuck(_SENT_BATCH)
        report.called = self._resource_calls.call_forgotten(
            _SENT_BATCH, lambda: self._known_capacities(report)
        )
        until = self._clock.monotonic() + _FOLD_S
        for _ in range(_FOLD_BATCHES_A_TICK):
            folded = self._ledger.fold(_FOLD_BATCH)
            report.folded += folded
            self._keep_up(report)
            if folded < _FOLD_BATCH or self._clock.monotonic() > until:
                break
        # Counting a million takes a while: once a turn, unless the turn itself has moved jobs.
        moved = report.recalled or report.resent_silent or report.resent_lost
        report.open_counts = self._ledger.open_counts() if moved else open_counts
        self._keep_up(report)
        report.pilots = self._pilots.turn(report.states, report.open_counts, report.at)
        for said in report.pilots.errors:
            self._note(report, said)
        report.pruned = self._prune(report.at)

    def _known_capacities(self, report: TickReport) -> Mapping[str, int]:
        """How much there is; where this process cannot say, jobs go by what they were told."""
        try:
            return self._capacities()
        except WrongSettings as error:
            self._note(report, str(error))
            return {}

    def _supervise(self, report: TickReport) -> None:
        """Make store and ledger agree, and say so: the heartbeat speaks of what was just read."""
        self._beaten_at = self._clock.monotonic()
        try:
            self._reconcile_kills(report)
            report.states = self._ledger.controls()
            self._project(report)
            self._control.beat(self._owner, self._limits.supervision)
        except ControlStoreUnreachable as error:
            self._note(report, str(error))
            report.states = self._ledger.controls()

    def _project(self, report: TickReport) -> None:
        """Copy to the store what it does not hold; read first, most turns find nothing to write."""
        held = self._control.read_all([state.name for state in report.states])
        for state in report.states:
            known = held[state.name].state
            if known is None or known.revision < state.revision:
                self._control.project(state)
            elif known.revision > state.revision:
                self._write_over(known, report)

    def _write_over(self, known: ControlState, report: TickReport) -> None:
        """Write over what the store holds of a ledger that was taken back, as by a backup.

        Forward only, its newer revisions would rule for as long as the ledger needs to count up
        to them. The store was read first: what it holds was in the ledger before.
        """
        state = self._ledger.control(known.name)
        if known.revision <= state.revision:
            return
        sentence = (
            f"the control store held revision {known.revision} of {known.name!r}, the ledger is "
            f"at {state.revision}: was it restored? The ledger's state is in force again"
        )
        log.error("the store outranked the ledger", name=known.name, why=sentence)
        self._note(report, sentence)
        self._control.project(state, over=known.revision)

    def _keep_up(self, report: TickReport) -> None:
        """Beat again in a turn that takes long; one may, that is no reason to send jobs to legacy.

        Raises:
            LeadershipLost: Another controller has taken over; this turn is over.
        """
        after_s = self._limits.supervision.total_seconds() / _BEATS
        if self._clock.monotonic() - self._beaten_at < after_s:
            return
        if self._pilots.lead(self._clock.now()) is None:
            raise LeadershipLost
        self._supervise(report)

    def _prune(self, now: datetime) -> int:
        """Delete old committed jobs; old by this clock and by those of the workers.

        A controller whose clock was set a year ahead would else delete every job that has ended.
        """
        newest = self._ledger.newest_commit()
        if newest is None:
            return 0
        return self._ledger.prune(min(now, newest) - self._limits.keep, _PRUNE_BATCH)

    # Kills -------------------------------------------------------------------------------

    def _reconcile_kills(self, report: TickReport) -> None:
        """Make store and ledger agree on every kill, whichever half was away when it came."""
        # The store first: a rearm changes the ledger, then the store, and read the other way
        # round its latch would look lost and be set again, for a tick.
        latches = self._control.latches()
        latch = self._ledger.all_latch()
        states = {state.name: state for state in self._ledger.controls()}
        latched: set[str | None] = set()
        until = self._clock.monotonic() + _FENCES_S
        # What somebody holds is tried last: it must not keep other kills from their fences.
        for kill in sorted(latches, key=lambda one: one.name in self._held_up):
            held = latch if kill.name is None else states.get(kill.name)
            if held is not None and held.lifted_kill_id == kill.kill_id:
                self._control.unlatch(kill.name, kill.kill_id)
                continue
            if held is not None and held.killed and held.kill_id != kill.kill_id:
                # Another kill, made while the store was away, came after this one: its latch
                # replaces this one below, or a rearm of it would leave this one in force.
                continue
            latched.add(kill.name)
            if held is not None and not held.killed and self._clock.monotonic() <= until:
                self._fence(kill, report)
        self._restore_latches([latch, *states.values()], latched)

    def _fence(self, kill: Kill, report: TickReport) -> None:
        """Give a kill that reached the store only its other half."""
        log.warning("a kill is in the store and not in the ledger yet; fencing now", name=kill.name)
        try:
            self._ledger.kill(kill, patience_s=_FENCE_PATIENCE_S)
        except LedgerBusy as error:
            self._held_up.add(kill.name)
            self._note(report, str(error))
        else:
            self._held_up.discard(kill.name)

    def _restore_latches(self, states: list[ControlState], latched: set[str | None]) -> None:
        """Set again what the store has lost: it may have been restarted empty."""
        for state in states:
            name = None if state.name == "*" else state.name
            if state.killed and name not in latched and state.kill_id is not None:
                last = self._last_kill(state)
                self._control.latch(Kill(state.kill_id, name, last[0], last[1], last[2]))

    def _last_kill(self, state: ControlState) -> tuple[str, str, datetime]:
        for record in self._ledger.transitions(state.name, 20):
            if record.event is Event.KILL:
                return record.actor, record.reason, record.at
        return "unknown", "killed with all others", self._clock.now()

    # Jobs --------------------------------------------------------------------------------

    def _recall(self, open_counts: Sequence[OpenCount], report: TickReport) -> None:
        """Bring jobs back that a kill or revert left on the concurrent path, a slice each in turn.

        A queue of a million takes many turns; heartbeat, judgement and sweep come between. The
        turn goes on where the last one ended, so that one long queue keeps no other waiting.
        """
        left = {one.name for one in open_counts if one.path is JobPath.CONCURRENT and one.jobs}
        waiting = sorted(
            (state for state in report.states if state.name in left and _recalled_for(state)),
            key=lambda state: (state.name <= self._recalled_last, state.name),
        )
        until = self._clock.monotonic() + _RECALL_S
        while waiting and self._clock.monotonic() <= until:
            state, *waiting = waiting
            reason = Reason.KILLED if state.killed else Reason.STAGE
            moved = self._changes.recall.part(state.name, reason, running=state.killed)
            self._recalled_last = state.name
            report.recalled += moved.jobs
            self._note(report, moved.error)
            if (
                moved.error is not None
            ):  # the broker is away: it will not answer the next one either
                return
            if moved.more:
                waiting.append(state)

    def _sweep(self, open_counts: Sequence[OpenCount], report: TickReport) -> None:
        """Send jobs again that the ledger has and nobody else seems to have."""
        swept = self._sweeper.turn(
            open_counts,
            heard_long_enough=self._heard_long_enough(),
            note=lambda error: self._note(report, error),
            keep_up=lambda: self._keep_up(report),
        )
        report.resent_silent += swept.silent
        report.resent_lost += swept.lost
        report.unaccounted = {state.name: 0 for state in report.states} | swept.unaccounted

    def _mind_the_clock(self, now: datetime) -> None:
        """Begin to listen anew when the clock was stepped, or the machine woke up.

        By a clock that is ahead every running job looks silent, and a second look would count a
        second death against each.
        """
        before, counted_s = self._clocks
        self._clocks = (now, self._clock.monotonic())
        stepped_s = (now - before).total_seconds() - (self._clocks[1] - counted_s)
        if abs(stepped_s) > _STEP_S_MAX:
            log.warning("the clock was stepped", seconds=round(stepped_s, 1))
            self._here_since = self._clocks[1]

    def _heard_long_enough(self) -> bool:
        """Whether the ledger has been here for as long as a worker may be silent.

        After an outage of the ledger every running job looks silent, because nobody could renew.
        """
        return (
            self._clock.monotonic() - self._here_since >= self._limits.silent_after.total_seconds()
        )

    def _note(self, report: TickReport, error: str | None) -> None:
        if error is not None and error not in report.errors:
            report.errors.append(error)


class LeadershipLost(Exception):
    """Another controller leads by now; what is left of this turn is its business."""


def _recalled_for(state: ControlState) -> bool:
    return state.killed or state.stage in (Stage.LEGACY, Stage.SHADOW)
