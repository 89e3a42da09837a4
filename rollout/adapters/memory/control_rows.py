"""Control rows, the fence and the log of changes, in memory.

The fence is the lock of the rows: a claim and the last act of a commit hold it, and so does a kill.
A commit hook runs before, without it, so a kill waits for no hook.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime

from rollout.adapters.memory.rows import Rows
from rollout.control.latching import check_rearm, covered, is_known, lifted
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import MET_MAX, PATIENCE_S, Kill, Met, TransitionRecord, Waiting
from rollout.routing.stages import ALL, ControlState, Event, apply


class ControlRows:
    """The half of the ledger that holds what people and the controller decided."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def url(self) -> str:
        """Address, for messages."""
        return self._rows.url

    def ensure(self, name: str, effects: Effects, holdback_bp: int, now: datetime) -> ControlState:
        """Create the control row of a declared sub-pipeline, killed when all are.

        A row that is there keeps its holdback; its effects follow the declaration.
        """
        with self._rows as rows:
            rows.effects[name] = effects
            if name not in rows.states:
                state = ControlState(name, holdback_bp=holdback_bp, salt=name, revision=1)
                if rows.latch.killed:
                    state = replace(
                        state, killed=True, fence_revision=1, kill_id=rows.latch.kill_id
                    )
                rows.states[name] = state
            return rows.states[name]

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline."""
        with self._rows as rows:
            return rows.known(name)

    def controls(self) -> list[ControlState]:
        """Read all control rows, by name."""
        with self._rows as rows:
            return [rows.states[name] for name in sorted(rows.states)]

    def all_latch(self) -> ControlState:
        """The row of `kill --all`; its name is '*'."""
        with self._rows as rows:
            return rows.latch

    def effects(self, name: str) -> Effects:
        """What a sub-pipeline's paths do to the world. Raises UnknownSubPipeline."""
        with self._rows as rows:
            return rows.effects[rows.known(name).name]

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
        """Apply an event of the stage table and log it, in one transaction."""
        # Without a kill id these would not hold what they say.
        assert event not in (Event.KILL, Event.REARM), "kill and rearm have methods of their own"
        with self._rows as rows:
            before = rows.known(name)
            after = apply(
                before,
                event,
                scope_bp=scope_bp,
                seen_revision=seen_revision,
                effects=rows.effects[name],
            )
            record_change(rows, before, after, event, actor, reason, now)
        return after

    def kill(
        self, kill: Kill, *, patience_s: float = PATIENCE_S, waiting: Waiting | None = None
    ) -> list[ControlState]:
        """Latch the kill and move the fence; see `routing.ports.ControlLedger.kill`."""
        with self._rows as rows:
            if kill.name is not None:
                return [_kill_one(rows, rows.known(kill.name), kill)]
            states = [rows.states[name] for name in sorted(rows.states)]
            mine = covered(rows.latch, states)
            killed = [_kill_one(rows, state, kill) for state in [rows.latch, *mine]]
            return killed + [state for state in states if state not in mine]

    def rearm(
        self,
        name: str | None,
        actor: str,
        reason: str,
        now: datetime,
        *,
        seen_revision: int | None = None,
    ) -> list[ControlState]:
        """Lift a latch; that of `kill --all` also on every sub-pipeline it killed."""
        with self._rows as rows:
            latch = rows.latch
            check_rearm(name, latch)
            if name is not None:
                return [_rearm_one(rows, rows.known(name), actor, reason, now, seen_revision)]
            mine = lifted(latch, [rows.states[name] for name in sorted(rows.states)])
            return [_rearm_one(rows, state, actor, reason, now) for state in [latch, *mine]]

    def transitions(
        self, name: str, limit: int, before: int | None = None
    ) -> list[TransitionRecord]:
        """Read the log, newest first, from before a change on. Raises UnknownSubPipeline."""
        with self._rows as rows:
            if name != ALL:
                rows.known(name)
            older = rows.log[name] if before is None else rows.log[name][: max(0, before - 1)]
            return older[::-1][:limit]

    def last_changes(self) -> dict[str, TransitionRecord]:
        """Read the newest change of each sub-pipeline that has any."""
        with self._rows as rows:
            return {name: log[-1] for name, log in rows.log.items() if log and name != ALL}


def _kill_one(rows: Rows, before: ControlState, kill: Kill) -> ControlState:
    if is_known(before, kill):
        return before
    after = apply(before, Event.KILL, kill_id=kill.kill_id)
    met = None if before.name == ALL else _met(rows, before.name)
    record_change(rows, before, after, Event.KILL, kill.actor, kill.reason, kill.at, met=met)
    return after


def _met(rows: Rows, name: str) -> Met:
    states = Counter(job.state for job in rows.open_jobs(name) if job.path is JobPath.CONCURRENT)
    return Met(min(states[JobState.ACCEPTED], MET_MAX), min(states[JobState.STARTED], MET_MAX))


def _rearm_one(
    rows: Rows,
    before: ControlState,
    actor: str,
    reason: str,
    now: datetime,
    seen_revision: int | None = None,
) -> ControlState:
    after = apply(before, Event.REARM, seen_revision=seen_revision)
    record_change(rows, before, after, Event.REARM, actor, reason, now)
    return after


def record_change(
    rows: Rows,
    before: ControlState,
    after: ControlState,
    event: Event,
    actor: str,
    reason: str,
    now: datetime,
    *,
    met: Met | None = None,
) -> None:
    """Write a control state and its line in the log."""
    if before.name == ALL:
        rows.latch = after
    else:
        rows.states[before.name] = after
    log = rows.log[before.name]
    log.append(
        TransitionRecord(
            before.name, now, event, actor, reason, before, after, met, change_id=len(log) + 1
        )
    )
