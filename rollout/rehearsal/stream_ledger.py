"""A ledger of one sub-pipeline over a stream of jobs on a virtual clock.

The port `PilotLedger` and the few calls of `Ledger` that the controller's judgement needs: the same
judgement as in production then runs on weeks of jobs in seconds. A contract test holds windows,
totals and decisions to those of the SQL ledger on the same jobs.

What a stream leaves out: jobs never wait for a worker, no path is ever lost, killed or moved by
hand, no build changes, and nobody but this one process writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from rollout.errors import LeaseLost, UnknownDecision, UnknownSubPipeline
from rollout.jobs.ports import OpenCount
from rollout.pilot.ports import (
    DecisionRecord,
    HourRow,
    KeySpread,
    NewDecision,
    OpenSlow,
    Recovery,
    TrialRow,
    WindowRow,
)
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.rehearsal import stream_windows
from rollout.rehearsal.exposed import Exposed
from rollout.rehearsal.job_stream import EPOCH, JobStream, time_of, us_of
from rollout.rehearsal.stream_fold import StreamTotals, frame_of
from rollout.rehearsal.stream_jobs import StreamJobs
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import HOLDBACK_BP, ControlState, Event, apply

_TOKEN = 1


class StreamLedger:
    """`pilot.ports.PilotLedger` over a stream; call `admit` before asking of a new time.

    Args:
        stream: The jobs.
        holdback_bp: As the sub-pipeline would declare it.
        wider: Windows are taken in at least so wide: a wider one is one look instead of many.
    """

    def __init__(
        self,
        stream: JobStream,
        holdback_bp: int = HOLDBACK_BP,
        wider: timedelta = timedelta(0),
    ) -> None:
        self.jobs = StreamJobs(stream)
        self.wider = wider
        self.log: list[TransitionRecord] = []
        self.state = ControlState(
            stream.name, holdback_bp=holdback_bp, salt=stream.name, revision=1
        )
        self._now_us = 0
        self._leader: tuple[str, datetime] | None = None
        self._trial: Trial | None = None
        self._version = 0
        self._totals = StreamTotals(self.jobs)
        self._decisions: list[DecisionRecord] = []
        self._decided: set[str] = set()
        self._recoveries: list[Recovery] = []
        self._builds: dict[JobPath, str] = {}
        self._counted: list[OpenCount] = []
        self._counted_at = (-1, 0, 0)

    # What the stream's driver does --------------------------------------------------------

    def admit(self, now: datetime) -> None:
        """Let time pass: jobs that came before `now` are routed by the state in force so far."""
        self._now_us = max(self._now_us, us_of(now))
        self.jobs.admit(self._now_us, self.state)

    def change(
        self, event: Event, actor: str, reason: str, now: datetime, *, scope_bp: int | None = None
    ) -> ControlState:
        """Apply an event of the stage table and log it; what came before `now` is routed first.

        Raises IllegalTransition, ScopeOutOfRange; then nothing was changed.
        """
        self.admit(now)
        self._log(
            event,
            actor,
            reason,
            now,
            apply(self.state, event, scope_bp=scope_bp, effects=self.effects(self.state.name)),
        )
        return self.state

    def _log(self, event: Event, actor: str, why: str, at: datetime, after: ControlState) -> None:
        record = TransitionRecord(after.name, at, event, actor, why, self.state, after)
        self.log.append(record)
        self.state = after

    def exposed(self, since: datetime, until: datetime) -> Exposed:
        """Count the concurrent jobs admitted from `since` on, as they stood at `until`."""
        rows, until_us = self.jobs.columns, us_of(until)
        which = slice(self.jobs.before(us_of(since)), self.jobs.before(until_us))
        mine = rows.concurrent[which]
        failed = mine & (rows.moved_us[which] <= until_us)
        seen = failed | (mine & (rows.finish_us[which] <= until_us))
        counted = [int(np.count_nonzero(one)) for one in (seen, failed, mine & ~seen)]
        return Exposed(*counted)

    # Of the ledger ------------------------------------------------------------------------

    def controls(self) -> list[ControlState]:
        """The one control state."""
        return [self.state]

    def open_counts(self) -> list[OpenCount]:
        """Count unfinished jobs; in a stream each of them runs."""
        asked_at = (self._now_us, self.jobs.admitted, self.jobs.open.size)
        if asked_at != self._counted_at:  # a tick asks twice
            self._counted_at, self._counted = asked_at, self._count_open()
        return self._counted

    def _count_open(self) -> list[OpenCount]:
        waiting = self.jobs.unfinished(self._now_us)
        on_legacy = self.jobs.on_legacy(waiting, self._now_us)
        counts = []
        for path in JobPath:
            mine = waiting[on_legacy == (path is JobPath.LEGACY)]
            if mine.size:
                oldest = time_of(int(self.jobs.stream.at_us[mine[0]]))
                counts.append(OpenCount(self.state.name, path, "started", int(mine.size), oldest))
        return counts

    def fold(self, limit: int) -> int:
        """Count newly finished jobs, each once, into totals and profile; how many."""
        taken = self.jobs.take_finished(self._now_us, limit)
        if not taken.size:
            return 0
        self._totals.add(taken, self._trial)
        return int(taken.size)

    # Leadership and builds ----------------------------------------------------------------

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead: nobody else is here."""
        self._leader = (owner, now + ttl)
        return _TOKEN

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Nobody looks at a rehearsal while it runs."""

    def drop_lease(self, token: int) -> None:
        """Stop leading; whoever asks next leads."""
        self._leader = ("", EPOCH)

    def leader(self) -> tuple[str, datetime] | None:
        """Who leads and until when; an empty name when it stopped."""
        return self._leader

    def standbys(self, now: datetime) -> list[str]:
        """Nobody: there is one judge in a rehearsal."""
        return []

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say which build of a path runs now."""
        self._must_be(name)
        self._builds[path] = build

    def effects(self, name: str) -> Effects:
        """A stream's jobs touch nothing: they have run before, or are drawn."""
        self._must_be(name)
        return Effects.NONE

    def builds(self) -> dict[str, tuple[str | None, str | None]]:
        """Builds of the legacy and the concurrent path."""
        of = self._builds.get
        return {self.state.name: (of(JobPath.LEGACY), of(JobPath.CONCURRENT))}

    # Evidence -----------------------------------------------------------------------------

    def trial_rows(self, names: Collection[str] | None = None) -> list[TrialRow]:
        """Read the trial, if there is one."""
        one = self._trial
        if one is None or (names is not None and one.name not in names):
            return []
        columns: dict[str, Any] = {
            "name": one.name,
            "version": self._version,
            "step": one.step,
            "step_revision": one.step_revision,
            "began_at": one.began_at,
            "scored_to": one.scored_to,
        }
        payload: Any = one.payload()  # an object: JSON's types have no name for that
        return [TrialRow(columns, payload)]

    def profiles(self, names: Collection[str] | None = None) -> dict[str, LegacyProfile]:
        """Read what legacy showed."""
        if names is not None and self.state.name not in names:
            return {}
        return {self.state.name: self._totals.whole_profile()}

    def pass_time(self, now: datetime, days_s: Mapping[str, float]) -> dict[str, LegacyProfile]:
        """Close days and spans that are over, and note what runs on legacy.

        The histogram of today is complete when its day ends: nobody asks before.
        """
        running = sum(one.jobs for one in self.open_counts() if one.path is JobPath.LEGACY)
        day_s = days_s.get(self.state.name)
        if day_s is not None:
            self._totals.pass_time(now, day_s, running)
        return {self.state.name: self._totals.profile}

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of admission that are old enough and not yet in the trial, oldest first."""
        if self._trial is None or not self._trial.on_trial:
            return []
        wider_us = self.wider // timedelta(microseconds=1)
        return list(stream_windows.windows(self.jobs, self._trial, now, wider_us))[:limit]

    def early_windows(self, trial: Trial, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of the trial that are old enough for its fast path and not yet in it."""
        since = trial.early_from()
        if since is None:
            return []
        wider_us = self.wider // timedelta(microseconds=1)
        early_s = trial.early_settle_s()
        return list(stream_windows.windows(self.jobs, trial, now, wider_us, since, early_s))[:limit]

    def save_trials(self, token: int, trials: Sequence[Trial]) -> None:
        """Write the trial and raise its version. Raises LeaseLost for a stale version."""
        for trial in trials:
            self._save(token, trial)

    def _save(self, token: int, trial: Trial) -> None:
        self._must_be(trial.name)
        if trial.version != self._version:
            raise LeaseLost(token)
        if self._trial is not None and frame_of(trial) != frame_of(self._trial):
            self._totals.close(self._trial)
        self._trial, self._version = trial, trial.version + 1

    def hours(self, name: str, step: int) -> list[HourRow]:
        """Read the totals of a step."""
        self._must_be(name)
        return self._totals.hours(self._trial, step)

    def open_slow(self, trial: Trial, now: datetime) -> list[OpenSlow]:
        """Count unfinished jobs of the trial's step that are slow already."""
        return stream_windows.open_slow(self.jobs, trial, now)

    def counts_of(
        self, trials: Sequence[Trial], now: datetime
    ) -> dict[str, tuple[list[HourRow], list[OpenSlow]]]:
        """Read the totals and the slow jobs of the trial."""
        return {
            one.name: (self.hours(one.name, one.step), self.open_slow(one, now)) for one in trials
        }

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Measure how the newest `limit` jobs spread over keys."""
        self._must_be(name)
        begin, end = max(0, self.jobs.admitted - limit), self.jobs.admitted
        keys = self.jobs.stream.key
        if keys is None or begin == end:
            return KeySpread(end - begin, end - begin, 1.0)
        _, jobs = np.unique(keys[begin:end], return_counts=True)
        return KeySpread(end - begin, jobs.size, float((jobs * jobs).sum()) / (end - begin))

    def routed_since(self, name: str, since: datetime) -> dict[JobPath, int]:
        """Count jobs admitted since then by the path that routing chose."""
        self._must_be(name)
        begin = int(np.searchsorted(self.jobs.stream.at_us, us_of(since), side="right"))
        assigned = self.jobs.columns.concurrent[begin : self.jobs.admitted]
        new = int(np.count_nonzero(assigned))
        found = {JobPath.CONCURRENT: new, JobPath.LEGACY: int(assigned.size) - new}
        return {path: jobs for path, jobs in found.items() if jobs}

    # Decisions ----------------------------------------------------------------------------

    def decide(self, token: int, decision: NewDecision, trial: Trial) -> ControlState | None:
        """Record a decision, carry out its event and write the trial; None when decided before.

        Raises LeaseLost, StaleRevision, IllegalTransition; then nothing was changed.
        """
        if decision.window in self._decided:
            return None
        before = after = self.state
        if decision.event is not None:
            self.admit(decision.at)
            after = apply(
                before,
                decision.event,
                scope_bp=decision.to_bp,
                seen_revision=decision.seen_revision,
                effects=self.effects(decision.name),
            )
        self._save(token, trial)
        if decision.event is not None:
            self._log(decision.event, "controller", decision.sentence, decision.at, after)
        self._decided.add(decision.window)
        self._decisions.append(
            DecisionRecord(
                len(self._decisions) + 1,
                decision.name,
                decision.at,
                decision.window,
                decision.action,
                decision.sentence,
                before.revision,
                decision.inputs,
                decision.answer,
            )
        )
        return self.state

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the log of decisions, newest first, from before one on."""
        older = self._decisions if before is None else self._decisions[: max(0, before - 1)]
        return older[::-1][:limit]

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision."""
        if not 1 <= decision_id <= len(self._decisions):
            raise UnknownDecision(decision_id)
        return self._decisions[decision_id - 1]

    # Recoveries ---------------------------------------------------------------------------

    def add_recovery(self, recovery: Recovery) -> None:
        """Record how long a path took to heal."""
        self._must_be(recovery.name)
        self._recoveries.append(recovery)
        self._recoveries.sort(key=lambda one: one.at)

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first; None: of all names."""
        wanted = name in (None, self.state.name)
        return [one for one in self._recoveries if wanted and one.at >= since]

    def _must_be(self, name: str) -> None:
        if name != self.state.name:
            raise UnknownSubPipeline(name, [self.state.name])
