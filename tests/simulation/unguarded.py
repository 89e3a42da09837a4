"""The program with one guard taken out; a simulation that does not notice is worth nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from rollout.adapters.memory import job_rows, order_rows, resource_rows
from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.controller.tick import Tick
from rollout.evidence.promote import Answer
from rollout.jobs import attempt
from rollout.jobs.claims import Claim, JobRecord, JobState, Refusal, judge_claim, judge_commit
from rollout.jobs.delivery import Dropped, Outcome
from rollout.jobs.ports import Running
from rollout.jobs.resource_calls import ResourceCalls
from rollout.pilot import judge as pilot_judge
from rollout.pilot import not_yet
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState


def _no_fence(
    record: JobRecord, claim: Claim, control: ControlState, effects: Effects
) -> Refusal | None:
    """Commits ignore the kill and the fence revision."""
    open_ = replace(control, killed=False, fence_revision=claim.fence_revision)
    return judge_commit(record, claim, open_, effects)


def _no_attempt(
    record: JobRecord, claim: Claim, control: ControlState, effects: Effects
) -> Refusal | None:
    """Commits count whoever holds the job by now."""
    mine = replace(record, attempt=claim.attempt, nonce=claim.nonce, state=JobState.STARTED)
    return judge_commit(mine, claim, control, effects)


def _no_kill_check(
    record: JobRecord,
    delivered: JobPath,
    control: ControlState,
    effects: Effects,
    now: datetime,
    silent_after: timedelta,
) -> Refusal | None:
    """Claims ignore the kill."""
    return judge_claim(
        record, delivered, replace(control, killed=False), effects, now, silent_after
    )


_hand_over = job_rows.JobRows.hand_over


def _many_movers(
    self: job_rows.JobRows,
    name: str,
    job_id: str,
    attempt: int | None,
    reason: Reason,
    error: str | None,
    now: datetime,
    *,
    nonce: str | None = None,
) -> bool | None:
    """Everybody who wants to move a job is told to send it."""
    moved = _hand_over(self, name, job_id, attempt, reason, error, now, nonce=nonce)
    return None if moved is None else True


def _project_backwards(
    self: MemoryControlStore, state: ControlState, *, over: int | None = None
) -> bool:
    """An older state may be written over a newer one."""
    self._states[state.name] = state
    return True


def _renew_by_id(self: job_rows.JobRows, running: Sequence[Running], now: datetime) -> None:
    """Whoever once had a job renews it, backwards too, by its own clock."""
    with self._rows as rows:
        for run in running:
            record = rows.jobs.get((run.name, run.job_id))
            if record is not None and record.state is JobState.STARTED:
                rows.put(replace(record, renewed_at=now))


def _drop(*given: object) -> Outcome:
    """A commit whose answer is lost is somebody else's."""
    return Dropped(Refusal.STALE)


def _always(*given: object, **named: object) -> Answer:
    """Every look promotes."""
    return Answer(promote=True, person=False, reasons=())


def _long_enough(*given: object) -> float:
    """Every step has lasted a thousand days."""
    return 1_000.0


def _yes(*given: object) -> bool:
    """There is always room."""
    return True


def _none(*given: object) -> int:
    """Nobody is called."""
    return 0


def _nothing(*given: object, **named: object) -> None:
    """Do nothing."""


GUARDS: dict[str, tuple[Sequence[Any], str, Callable[..., Any]]] = {
    "fence": ((job_rows,), "judge_commit", _no_fence),
    "attempt": ((job_rows,), "judge_commit", _no_attempt),
    "gate": ((attempt,), "_why_not", _nothing),
    "kill check": ((job_rows,), "judge_claim", _no_kill_check),
    "single mover": ((job_rows.JobRows,), "hand_over", _many_movers),
    "renewal": ((job_rows.JobRows,), "renew", _renew_by_id),
    "lost answer": ((attempt.Attempts,), "_settled", _drop),
    "outbox": ((Tick,), "_sweep", _nothing),
    "forward only": ((MemoryControlStore,), "project", _project_backwards),
    "proofs": ((pilot_judge,), "decide", _always),
    "order": ((order_rows.OrderRows,), "stands_behind", _nothing),
    "room": ((resource_rows,), "has_room", _yes),
    "call": ((ResourceCalls,), "_call", _none),
    "bake time": ((not_yet, pilot_judge), "days_in_step", _long_enough),
}
"""Where each guard stands, and what takes its place."""


@contextmanager
def without(guard: str | None) -> Iterator[None]:
    """Take one guard out for a while; None leaves all in place."""
    if guard is None:
        yield
        return
    owners, name, stand_in = GUARDS[guard]
    with ExitStack() as stack:
        for owner in owners:
            stack.enter_context(patch.object(owner, name, stand_in))
        yield
