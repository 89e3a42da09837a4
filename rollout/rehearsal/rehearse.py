"""Rehearse a trial: the controller's judgement, unchanged, on a virtual clock.

Time jumps from tick to tick. In calm days a tick comes every few minutes and takes in windows of a
minute: fewer looks than the controller takes, so a little less chance of a false revert. From the
moment a regression begins, ticks and windows are as short as the controller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from rollout.jobs.ports import OpenCount
from rollout.pilot.pilots import Pilots
from rollout.pilot.ports import DecisionRecord, PilotLedger, Recovery
from rollout.pilot.situations import Situations
from rollout.pilot.trial_steps import window_s
from rollout.policy import ladder
from rollout.policy.policy import Policies, Policy
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ControlState, Event, Stage

TICK_S = 300.0
"""Seconds between ticks in calm days of 24 h."""

WIDER_S = 60.0
"""Seconds of a window in calm days of 24 h."""

WATCHED_S = 2 * 3600.0
"""So long after a regression begins the clock moves in the controller's own small steps; what was
not seen by then takes so long that minutes do not matter."""

FOLD_BATCH = 100_000


class Rehearsable(PilotLedger, Protocol):
    """A ledger whose jobs come by themselves as time is let pass."""

    wider: timedelta

    @property
    def log(self) -> list[TransitionRecord]:
        """All changes of the control state, oldest first."""
        ...

    def admit(self, now: datetime) -> None:
        """Let time pass."""
        ...

    def change(
        self, event: Event, actor: str, reason: str, now: datetime, *, scope_bp: int | None = None
    ) -> ControlState:
        """Apply an event of the stage table."""
        ...

    def controls(self) -> list[ControlState]:
        """Read the control states."""
        ...

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs."""
        ...

    def fold(self, limit: int) -> int:
        """Count newly finished jobs."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rehearsed.

    Attributes:
        begin: When the jobs begin; legacy runs them until the start.
        start: When a person starts the trial.
        end: When the rehearsal ends.
        policies: In force all the time.
        scope_bp: Share that the person sets at the start; None for the policy's first step.
        worse_at: When a regression begins; None for never.
        drills: Recoveries that become known as their time comes, oldest first.
        tick_s: Seconds between calm ticks on a day of 24 h.
        wider_s: Seconds of a window between them.
        watched_s: Seconds after `worse_at` with small steps, on a day of 24 h.
    """

    begin: datetime
    start: datetime
    end: datetime
    policies: Policies
    scope_bp: int | None = None
    worse_at: datetime | None = None
    drills: Sequence[Recovery] = ()
    tick_s: float = TICK_S
    wider_s: float = WIDER_S
    watched_s: float = WATCHED_S


@dataclass(slots=True)
class Rehearsed:
    """What happened.

    Attributes:
        until: How far it came: the end, or a revert that nobody undid.
        state: The control state then.
        decisions: The controller's, oldest first.
        changes: Every change of the control state, oldest first.
        reverted_at: The first revert after the start of the trial; None without one.
        ticks: Turns of the judgement.
        windows: Windows of admission that it took in.
        errors: What it could not take in; empty for sane jobs.
    """

    until: datetime
    state: ControlState
    decisions: list[DecisionRecord] = field(default_factory=list)
    changes: list[TransitionRecord] = field(default_factory=list)
    reverted_at: datetime | None = None
    ticks: int = 0
    windows: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def scope_bp_top(self) -> int:
        """The largest scope it came to, in basis points."""
        return max((one.after.scope_bp for one in self.changes), default=0)


def rehearse(
    ledger: Rehearsable, plan: Plan, watch: Callable[[Rehearsed], None] | None = None
) -> Rehearsed:
    """Let the controller's judgement decide about a stream of jobs.

    Args:
        ledger: Fresh, over the jobs.
        plan: What is rehearsed.
        watch: Called after each tick with what happened so far.

    Returns:
        What happened up to the end, or until a revert to legacy was confirmed by routing: from
        then on every job runs on legacy until a person starts again.
    """
    (state,) = ledger.controls()
    policy = plan.policies.of(state.name)
    pilots = Pilots(
        ledger,
        Situations(ledger),
        plan.policies,
        project=_nothing_to_project,
        tells=False,
        owner="rehearsal",
        ttl=plan.end - plan.begin + timedelta(days=1),
    )
    done = Rehearsed(plan.begin, state)
    drills = iter([*plan.drills])
    waiting = next(drills, None)
    for now in _ticks(ledger, plan, policy):
        ledger.admit(now)
        while waiting is not None and waiting.at <= now:
            ledger.add_recovery(waiting)
            waiting = next(drills, None)
        if now >= plan.start and not ledger.log:
            _start(ledger, plan, policy, now)
        _turn(ledger, pilots, now, done)
        if watch is not None:
            watch(done)
        if _is_over(done):
            break
    return done


def _ticks(ledger: Rehearsable, plan: Plan, policy: Policy) -> Iterator[datetime]:
    """The times of the ticks; the start and the regression's begin are among them."""
    pace = policy.day_s / 86_400.0
    calm, wider = plan.tick_s * pace, timedelta(seconds=plan.wider_s * pace)
    small = window_s(policy)
    marks = sorted(at for at in (plan.start, plan.worse_at, plan.end) if at is not None)
    now = plan.begin
    while now < plan.end:
        worse = plan.worse_at
        watched = worse is not None and timedelta(0) <= now - worse < timedelta(
            seconds=plan.watched_s * pace
        )
        ledger.wider = timedelta(0) if watched else wider
        step = timedelta(seconds=small if watched else max(calm, small))
        now = min([now + step, *(mark for mark in marks if mark > now)])
        yield now


def _start(ledger: Rehearsable, plan: Plan, policy: Policy, now: datetime) -> None:
    """What a person does: `rollout start`, and `rollout scope` where another step is wanted."""
    (state,) = ledger.controls()
    baseline, first = ledger.profiles()[state.name].baseline, plan.scope_bp
    if first is None:
        first = ladder.first_bp(policy, state.holdback_bp, baseline)
    ledger.change(Event.START, "a person", "the rehearsal starts", now, scope_bp=first)


def _turn(ledger: Rehearsable, pilots: Pilots, now: datetime, done: Rehearsed) -> None:
    """A tick of the controller, as far as it judges."""
    while ledger.fold(FOLD_BATCH) == FOLD_BATCH:
        pass
    pilots.lead(now)
    report = pilots.turn(ledger.controls(), ledger.open_counts(), now)
    (done.state,) = ledger.controls()
    done.until, done.ticks = now, done.ticks + 1
    done.windows += report.windows
    done.errors += [said for said in report.errors if said not in done.errors]
    if len(ledger.log) != len(done.changes):
        done.changes = list(ledger.log)
        reverts = [one.at for one in done.changes if one.after.scope_bp < one.before.scope_bp]
        done.reverted_at = reverts[0] if reverts else None
    if report.decisions or (done.reverted_at is not None and done.state.stage is Stage.LEGACY):
        done.decisions = ledger.decisions(done.state.name, 1_000_000)[::-1]


def _is_over(done: Rehearsed) -> bool:
    """Whether a revert to legacy was confirmed: nothing more will happen by itself."""
    if done.reverted_at is None or done.state.stage is not Stage.LEGACY:
        return False
    return bool(done.decisions) and done.decisions[-1].action == "confirm"


def _nothing_to_project(states: Sequence[ControlState]) -> str | None:
    """A rehearsal has no control store."""
    return None
