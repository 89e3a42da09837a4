"""What people and the controller do to a sub-pipeline: every guard lives here.

The ledger's row is the truth and is changed first; the control store gets a copy at once and,
should that fail, from the controller's next tick. Kill is the exception in its order: the latch
in the store comes first, because it is the faster half, and the fence in the ledger second.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import uuid4

from rollout.control.kill_report import NOBODY, Count, Heard, KillReport
from rollout.control.recall import Recall
from rollout.errors import (
    ControlStoreUnreachable,
    IllegalTransition,
    LedgerBusy,
    LedgerUnreachable,
    ReasonMissing,
    RolloutError,
    UnknownJob,
    UnknownSubPipeline,
)
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.ports import Ledger, Queues
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import MET_MAX, ControlStore, Kill, Met
from rollout.routing.stages import ControlState, Event

_NEEDS_REASON = frozenset({Event.REVERT, Event.KILL, Event.REARM})
_RECENT = 20
"""Changes among which a kill is looked for that was made just now."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is in force in the ledger; `not_projected` says why the store lags."""

    state: ControlState
    not_projected: str | None

    def to_json(self) -> dict[str, Any]:
        """What scripts read about a change."""
        state = self.state
        return {
            "name": state.name,
            "stage": str(state.stage),
            "scope_bp": state.scope_bp,
            "scope_bp_max": state.scope_bp_max,
            "killed": state.killed,
            "frozen": state.frozen,
            "revision": state.revision,
            "projected": self.not_projected is None,
            "not_projected": self.not_projected,
        }


class FirstStep(Protocol):
    """Knows the ladder, which is the policy's."""

    def first_bp(self, name: str, holdback_bp: int) -> int | None:
        """The first step in basis points; None where cap and holdback leave none.

        Raises WrongPolicy.
        """
        ...


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of one retry: `not_sent` says why its message waits, `refused` why nothing came."""

    job_id: str
    not_sent: str | None
    refused: RolloutError | None = None

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        values = {"job_id": self.job_id, "sent": self.refused is None and self.not_sent is None}
        refused = None if self.refused is None else self.refused.problem
        return {**values, "not_sent": self.not_sent, "refused": refused}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A failed job that holds its key no longer; `sent` when the next one of the key was sent."""

    job_id: str
    key: str
    sent: bool

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {"job_id": self.job_id, "key": self.key, "sent": self.sent}


def retried_json(done: Sequence[Retried]) -> dict[str, Any]:
    """What scripts read of several retries."""
    return {"retried": [one.to_json() for one in done]}


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
        self._clock = clock
        self.recall = Recall(ledger, queues, clock)
        self._key_order = KeyOrder(ledger, queues, clock)

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
            scope_bp = self.first_step(name)
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

    def first_step(self, name: str) -> int:
        """Where a start that names no scope begins, in basis points.

        Raises UnknownSubPipeline, IllegalTransition where the policy leaves no step, WrongPolicy.
        """
        state = self._ledger.control(name)
        first = self._ladder.first_bp(name, state.holdback_bp)
        if first is None:
            hint = f"`rollout policy show {name}` has scope_bp_max and holdback_bp"
            raise IllegalTransition(name, Event.START, "while its policy leaves no step", hint)
        return first

    def kill(
        self, name: str | None, actor: str, reason: str, *, heard: Heard = NOBODY
    ) -> KillReport:
        """Send everything to legacy now; see promise 3 in the README.

        Does the half it can when the store or the ledger is away, and reports the other. `heard`
        is told each half when it holds, long before the last queued job is moved.

        Raises:
            ReasonMissing: Nothing was changed.
            UnknownSubPipeline: The ledger answers and knows no such name; nothing was changed.
        """
        _need_reason(Event.KILL, reason)
        kill = Kill(uuid4().hex, name, actor, reason, self._clock.now())
        report = self._block_starts(KillReport(kill, (name,) if name else ()))
        heard.blocked(report)
        try:
            states, report = self._fence_commits(report, heard)
        except UnknownSubPipeline:
            self._lift_mistaken(kill)
            raise
        heard.holds(report)
        self.project(states)
        return self._send_back(report, [one.name for one in states if one.name != "*"], heard)

    def _lift_mistaken(self, kill: Kill) -> None:
        """Take back the latch of a name that does not exist; left behind, it stops nothing."""
        with suppress(ControlStoreUnreachable):
            self._control.unlatch(kill.name, kill.kill_id)

    def _block_starts(self, report: KillReport) -> KillReport:
        began = self._clock.monotonic()
        try:
            self._control.latch(report.kill)
        except ControlStoreUnreachable as error:
            return replace(report, store_error=str(error))
        return replace(report, starts_blocked_ms=(self._clock.monotonic() - began) * 1000)

    def _fence_commits(
        self, report: KillReport, heard: Heard
    ) -> tuple[list[ControlState], KillReport]:
        began = self._clock.monotonic()
        try:
            states = self._ledger.kill(report.kill, waiting=lambda who: heard.waiting(report, who))
            took_ms = (self._clock.monotonic() - began) * 1000
        except LedgerBusy as error:
            held_by = error.blockers or ("somebody whom the database does not name",)
            return [], replace(report, ledger_error=str(error), held_by=held_by)
        except LedgerUnreachable as error:
            return [], replace(report, ledger_error=str(error))
        names = tuple(state.name for state in states if state.name != "*")
        report = replace(report, names=names or report.names, commits_fenced_ms=took_ms)
        try:
            return states, replace(report, unsafe_finishing=self._ledger.unsafe_running(names))
        except LedgerUnreachable as error:  # it went away just now: the fence holds
            return states, replace(report, broker_error=str(error))

    def _send_back(self, report: KillReport, names: list[str], heard: Heard) -> KillReport:
        """Send queued and abandoned jobs to legacy; the controller does what this leaves."""
        queued = running = 0
        many = left = False
        error = report.broker_error
        try:
            count = Count(heard, self._open(names) if names else 0)
            for name in names:
                moved = self.recall.whole(
                    name, Reason.KILLED, running=True, heard=count.add, stopped=heard.stopped
                )
                error, left = error or moved.error, left or moved.more
                # A controller that sees the kill moves jobs too, so count what the fence met.
                met = self._met(name, report.kill) or Met(moved.waiting, moved.working)
                many = many or MET_MAX in (met.queued, met.running)
                queued += moved.waiting if moved.more else max(met.queued, moved.waiting)
                running += met.running if self._ledger.effects(name).repeatable else 0
        except LedgerUnreachable as away:
            error, left = error or str(away), True
        return replace(
            report,
            queued_sent_back=queued,
            running_abandoned=running,
            many=many,
            left=left,
            broker_error=error,
        )

    def _open(self, names: list[str]) -> int:
        """How many jobs are on the concurrent path of these sub-pipelines."""
        return sum(
            count.jobs
            for count in self._ledger.open_counts()
            if count.name in names and count.path is JobPath.CONCURRENT
        )

    def _met(self, name: str, kill: Kill) -> Met | None:
        """What this kill met there; None where an earlier kill holds or has been lifted since."""
        for record in self._ledger.transitions(name, _RECENT):
            if record.event is Event.KILL and record.after.kill_id == kill.kill_id:
                return record.met
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
            sentence = self.project([state])
            try:
                latch = None if state.name == "*" else state.name
                self._control.unlatch(latch, state.lifted_kill_id)
            except ControlStoreUnreachable as error:
                sentence = str(error)
            if state.name != "*":
                changed.append(Changed(state, sentence))
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

    def retry_all(self, jobs: Sequence[tuple[str, str | None]]) -> list[Retried]:
        """Send kept failures again; one that is refused stops none of the others.

        Args:
            jobs: Id and sub-pipeline of each; no name will do where only one has a job of the id.

        Raises:
            LedgerUnreachable: What was reopened by then is sent.
        """
        done = []
        for job_id, name in jobs:
            try:
                done.append(Retried(job_id, self.retry(job_id, name)))
            except (IllegalTransition, UnknownJob) as error:
                done.append(Retried(job_id, None, error))
        return done

    def retry(self, job_id: str, name: str | None = None) -> str | None:
        """Send a kept failure again, to legacy; the text says why the broker did not take it.

        Args:
            name: Its sub-pipeline; None will do where only one has a job of this id, or only one
                a failed one.

        Raises:
            UnknownJob, IllegalTransition, LedgerUnreachable: nothing was changed.
        """
        record = self._the_one(job_id, name)
        if record.state is JobState.FAILED and not record.envelope:
            raise IllegalTransition(
                job_id,
                "retry",
                "because it ran in process and no message of it is kept",
                f"call run() of {record.name!r} again with its arguments",
            )
        return self.recall.send([self._ledger.reopen(record.name, job_id, self._clock.now())])

    def skip(self, job_id: str, name: str | None, actor: str, reason: str) -> Skipped:
        """Have a kept failure hold its key no longer; the next job of the key is sent.

        Args:
            name: Its sub-pipeline, as in `retry`.

        Raises:
            UnknownJob, IllegalTransition, LedgerUnreachable: nothing was changed.
        """
        if not reason.strip():
            raise ReasonMissing("skip")
        record = self._the_one(job_id, name)
        return Skipped(
            job_id, record.key, self._key_order.let_go(record.name, job_id, actor, reason)
        )

    def _the_one(self, job_id: str, name: str | None) -> JobRecord:
        """The job that is meant, of all sub-pipelines that have one of this id."""
        if name is not None:
            return self._ledger.job(name, job_id)
        records = self._ledger.jobs_of(job_id)
        failed = [record for record in records if record.state is JobState.FAILED] or records
        if len(failed) > 1:
            names = ", ".join(record.name for record in failed)
            raise IllegalTransition(
                job_id, "retry", f"while it is one id of several: {names}", "say --name which"
            )
        return failed[0]


def _need_reason(event: Event, reason: str) -> None:
    if event in _NEEDS_REASON and not reason.strip():
        raise ReasonMissing(event)
