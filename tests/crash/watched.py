"""Ledger and control store that tell the history what they were asked and what they answered.

They change nothing: each method calls the real one and appends a line. The asking time is kept
beside the answering time, because what a kill promises begins between the two.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.redis.store import RedisControlStore
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.tables import to_microseconds
from rollout.jobs.claims import Claim, JobRef, Refusal
from rollout.jobs.order import OnFailure
from rollout.jobs.ports import (
    Committed,
    ConnectionSource,
    Filing,
    Handed,
    Queues,
    Refused,
    Running,
)
from rollout.jobs.resources import Need
from rollout.jobs.submit import Submit
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import PATIENCE_S, ControlStore, Kill, Waiting
from rollout.routing.router import Router
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState
from rollout.wiring import Runtime
from tests.crash.history import History, label
from tests.crash.jumping_clock import JumpingClock

HANDS_S = 12.0
"""Twice the run's visibility timeout: a broker that works gives a dead worker's messages back."""

BENCH = "bench"
CAPACITIES = {BENCH: 2}
"""One job of `shares` takes all of it, one of `turns` a half: most have to wait."""
_asked = threading.local()
"""When this thread last asked the control store, until the claim that follows uses it up."""


class WatchedStore(RedisControlStore):
    """Remembers when the gate asked, and tells the history of heartbeats."""

    history: History

    def beat(self, owner: str, ttl: timedelta) -> None:
        """Beat, and say that the store has it."""
        super().beat(owner, ttl)
        self.history.write("beat")

    def read(self, name: str) -> Reading:
        """Read, and note the time for the claim that follows in this thread."""
        _asked.at = time.monotonic_ns()
        return super().read(name)


class WatchedLedger(SqlLedger):
    """Tells the history of claims, commits, failures and fences."""

    history: History

    def _ask(self, job: str, now: datetime) -> int:
        """Say when a process asked and what its clock said then, before the ledger answers.

        A clock that jumps makes the ledger's times worthless to the checker; this line turns
        each of them back into the time that all processes share, also when the asker is killed.
        """
        t0 = time.monotonic_ns()
        self.history.write("asked", job=job, now=to_microseconds(now))
        return t0

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
        """Claim, and say what was granted or refused."""
        job = label(name, job_id)
        t0 = self._ask(job, now)
        answer = super().claim(name, job_id, delivered, effects, worker, now, silent_after, needs)
        if isinstance(answer, Refused):
            needed = [need.resource for need in needs]
            self.history.write("claim refused", job=job, why=answer.refusal, needs=needed)
            return answer
        asked, _asked.at = getattr(_asked, "at", None), None
        self.history.write(
            "claimed", job=job, name=name, path=delivered, attempt=answer.attempt,
            fence=answer.fence_revision, t0=t0, asked=asked, worker=worker,
            takes={need.resource: need.weight for need in needs},
        )  # fmt: skip
        return answer

    def call_next(self, capacities: Mapping[str, int | None], now: datetime) -> list[Handed]:
        """Call, and say who was called."""
        handed = super().call_next(capacities, now)
        if handed:
            self.history.write("called", jobs=[label(one.name, one.job_id) for one in handed])
        return handed

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Commit, and say what became of it."""
        job = label(claim.name, claim.job_id)
        self._ask(job, now)
        answer = super().commit(claim, effects, write, now)
        if isinstance(answer, Refusal):
            self.history.write("commit refused", job=job, attempt=claim.attempt, why=answer)
        else:
            self.history.write("committed", job=job, attempt=claim.attempt, path=claim.path)
        return answer

    def fail(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason | None,
        error: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Fail, and say so when it counted."""
        job = label(name, job_id)
        self._ask(job, now)
        held = super().fail(name, job_id, attempt, reason, error, now, nonce=nonce)
        if held:
            self.history.write("failed", job=job, attempt=attempt)
        return held

    def hand_over(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Hand over, and say so of a job that no controller looks after."""
        moved = super().hand_over(name, job_id, attempt, reason, error, now, nonce=nonce)
        if moved and reason is Reason.UNSUPERVISED:
            self.history.write("unsupervised", jobs=[label(name, job_id)])
        return moved

    def file(self, filings: Sequence[Filing]) -> frozenset[JobRef]:
        """File; a producer told to die here dies between the row and the message."""
        finished = super().file(filings)
        _die_if_told()
        return finished

    def renew(self, running: Sequence[Running], now: datetime) -> None:
        """Renew, and say whose process vouched for what."""
        super().renew(running, now)
        for one in running:
            self.history.write("renewed", job=label(one.name, one.job_id), worker=one.worker)

    def resend_silent(
        self, name: str, silent_after: timedelta, now: datetime, limit: int
    ) -> list[Handed]:
        """Sweep, and say whose worker was taken for dead."""
        handed = super().resend_silent(name, silent_after, now, limit)
        for one in handed:
            self.history.write("silenced", job=label(name, one.job_id))
        return handed

    def kill(
        self, kill: Kill, *, patience_s: float = PATIENCE_S, waiting: Waiting | None = None
    ) -> list[ControlState]:
        """Fence, and say when it held: from here on no older concurrent attempt may commit."""
        states = super().kill(kill, patience_s=patience_s, waiting=waiting)
        self.history.write(
            "fenced",
            kill_id=kill.kill_id,
            fences={state.name: state.fence_revision for state in states if state.name != "*"},
            killed={state.name: state.killed for state in states},
            kill_ids={state.name: state.kill_id for state in states},
        )
        return states


def _die_if_told() -> None:
    flag = Path(os.environ.get("CRASH_FLAGS", ".")) / f"die-{os.environ.get('CRASH_ROLE')}"
    if flag.exists():
        flag.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class WatchedSubmit(Submit):
    """Tells the history of jobs that only the broker knows."""

    history: History

    def file(
        self,
        name: str,
        effects: Effects,
        holdback_bp: int,
        filings: Sequence[Filing],
        *,
        outcome_will_do: bool = False,
        on_failure: OnFailure | None = None,
    ) -> bool:
        """File, and name the jobs when the ledger is away, whichever call found it so."""
        filed = super().file(
            name,
            effects,
            holdback_bp,
            filings,
            outcome_will_do=outcome_will_do,
            on_failure=on_failure,
        )
        alone = [one.job_id for one in filings if one.reason is Reason.UNSUPERVISED]
        if filed and alone:
            self.history.write("unsupervised", jobs=[label(name, job_id) for job_id in alone])
        if not filed:
            self.history.write("unfiled", jobs=[label(name, filing.job_id) for filing in filings])
        return filed


class WatchedRuntime(Runtime):
    """The runtime with watched adapters; everything else is the product's."""

    history: History

    @cached_property
    def ledger(self) -> SqlLedger:
        """The watched ledger."""
        ledger = WatchedLedger(self.database)
        ledger.history = self.history
        return ledger

    @property
    def job_ledger(self) -> SqlLedger:
        """The same one: what producers and workers ask is what has to be told."""
        return self.ledger

    @cached_property
    def capacities(self) -> Mapping[str, int]:
        """What the app's jobs share; the run has no `rollout.toml`."""
        return CAPACITIES

    @cached_property
    def submit(self) -> Submit:
        """The watched way into the system."""
        router = Router(self.control, self.clock, self.settings.snapshot_s)
        submit = WatchedSubmit(router, self.ledger, self.clock)
        submit.history = self.history
        return submit

    @cached_property
    def queues(self) -> Queues:
        """The broker, with a limit on fetched messages that fits the run's short times."""
        return KombuQueues(self.settings.broker(), self.clock, hands_s=HANDS_S)

    @cached_property
    def control(self) -> ControlStore:
        """The watched control store."""
        settings = self.settings
        store = WatchedStore(
            settings.control(self.app_broker_url),
            settings.key_prefix,
            settings.connect_timeout_ms / 1000,
            settings.read_timeout_ms / 1000,
        )
        store.history = self.history
        return store


def watched_runtime(
    settings: Any, history: History, flags: Path, role: str = "driver"
) -> WatchedRuntime:
    """Build the runtime of one process; `role` names whose clock it goes by."""
    runtime = WatchedRuntime(settings, clock=JumpingClock(flags, role))
    runtime.history = history
    return runtime
