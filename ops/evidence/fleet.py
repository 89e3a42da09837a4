"""Several pipelines through one judgement: a ledger made of one stream ledger for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

from rollout.jobs.ports import OpenCount
from rollout.pilot.pilots import Pilots
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
from rollout.pilot.situations import Situations
from rollout.pilot.trial import Trial
from rollout.policy import ladder
from rollout.policy.policy import Policies
from rollout.rehearsal.rehearse import FOLD_BATCH
from rollout.rehearsal.stream_ledger import StreamLedger
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState, Event, Stage


@dataclass
class FleetLedger:
    """`pilot.ports.PilotLedger` of several pipelines; each call goes to the one it is about."""

    members: Mapping[str, StreamLedger]

    def __post_init__(self) -> None:
        self._any = next(iter(self.members.values()))

    def take_lease(self, owner: str, now: datetime, ttl: timedelta) -> int | None:
        """Lead all of them."""
        tokens = {one.take_lease(owner, now, ttl) for one in self.members.values()}
        return tokens.pop()

    def keep_policies(self, token: int, owner: str, text: str, now: datetime) -> None:
        """Nobody looks at a rehearsal while it runs."""

    def drop_lease(self, token: int) -> None:
        """Stop leading."""

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say which build of a path runs now."""
        self.members[name].announce(name, path, build)

    def builds(self) -> dict[str, tuple[str | None, str | None]]:
        """Builds of both paths, by name."""
        return {name: one.builds()[name] for name, one in self.members.items()}

    def effects(self, name: str) -> Effects:
        """What its paths do to the world."""
        return self.members[name].effects(name)

    def controls(self) -> list[ControlState]:
        """All control states."""
        return [one.state for one in self.members.values()]

    def open_counts(self) -> list[OpenCount]:
        """Unfinished jobs."""
        return list(chain.from_iterable(one.open_counts() for one in self.members.values()))

    def trial_rows(self, names: Collection[str] | None = None) -> list[TrialRow]:
        """Read every trial."""
        return list(chain.from_iterable(one.trial_rows(names) for one in self.members.values()))

    def profiles(self, names: Collection[str] | None = None) -> dict[str, LegacyProfile]:
        """Read what legacy showed."""
        known = self.members.items()
        return {name: one.profiles()[name] for name, one in known if names is None or name in names}

    def pass_time(self, now: datetime, days_s: Mapping[str, float]) -> dict[str, LegacyProfile]:
        """Close days and spans that are over."""
        return {name: one.pass_time(now, days_s)[name] for name, one in self.members.items()}

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows that are old enough."""
        return list(chain.from_iterable(one.windows(now, limit) for one in self.members.values()))

    def early_windows(self, trial: Trial, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows for the fast path."""
        return self.members[trial.name].early_windows(trial, now, limit)

    def save_trials(self, token: int, trials: Sequence[Trial]) -> None:
        """Write trials."""
        for trial in trials:
            self.members[trial.name].save_trials(token, [trial])

    def hours(self, name: str, step: int) -> list[HourRow]:
        """Read the totals of a step."""
        return self.members[name].hours(name, step)

    def open_slow(self, trial: Trial, now: datetime) -> list[OpenSlow]:
        """Count unfinished jobs that are slow already."""
        return self.members[trial.name].open_slow(trial, now)

    def counts_of(
        self, trials: Sequence[Trial], now: datetime
    ) -> dict[str, tuple[list[HourRow], list[OpenSlow]]]:
        """Read the totals and the slow jobs of many trials."""
        return {
            one.name: (self.hours(one.name, one.step), self.open_slow(one, now)) for one in trials
        }

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Measure how the newest jobs spread over keys."""
        return self.members[name].key_spread(name, limit)

    def routed_since(self, name: str, since: datetime) -> dict[JobPath, int]:
        """Count jobs by the path that routing chose."""
        return self.members[name].routed_since(name, since)

    def decide(self, token: int, decision: NewDecision, trial: Trial) -> ControlState | None:
        """Record a decision and carry it out."""
        return self.members[decision.name].decide(token, decision, trial)

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the log of one of them, or of all, newest first; nobody asks for a later page."""
        mine = self.members if name is None else {name: self.members[name]}
        found = chain.from_iterable(one.decisions(None, limit) for one in mine.values())
        return sorted(found, key=lambda one: one.at, reverse=True)[:limit]

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one of the first's."""
        return self._any.decision(decision_id)

    def add_recovery(self, recovery: Recovery) -> None:
        """Record how long a path took to heal."""
        self.members[recovery.name].add_recovery(recovery)

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries, oldest first."""
        mine = self.members if name is None else {name: self.members[name]}
        found = chain.from_iterable(one.recoveries(None, since) for one in mine.values())
        return sorted(found, key=lambda one: one.at)


@dataclass
class Climb:
    """What became of a cohort: the day of each change, and what the controller could not do."""

    entered: dict[str, float] = field(default_factory=dict)
    graduated: dict[str, float] = field(default_factory=dict)
    reverted: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    decisions: list[DecisionRecord] = field(default_factory=list)


def climb_together(
    ledgers: Mapping[str, StreamLedger],
    policies: Policies,
    drills: Sequence[Recovery],
    start: datetime,
    days: float,
    tick: timedelta,
) -> Climb:
    """Start the first of a cohort and let the controller do the rest.

    Args:
        ledgers: By name, in the order of the cohort; their jobs begin before `start`.
        policies: In force, with the cohort.
        drills: Recoveries that become known as their time comes.
        start: When the first one is started.
        days: How long it is watched.
        tick: Between two turns.
    """
    fleet = FleetLedger(ledgers)
    pilots = Pilots(
        fleet,
        Situations(fleet),
        policies,
        project=lambda states: None,
        tells=False,
        owner="rehearsal",
        ttl=timedelta(days=days + 365),
    )
    done, waiting = Climb(), sorted(drills, key=lambda one: one.at)
    now = min(one.jobs.stream.begins_at for one in ledgers.values())
    first, end = next(iter(ledgers.values())), start + timedelta(days=days)
    while now < end and len(done.graduated) + len(done.reverted) < len(ledgers):
        now = min(now + tick, start) if now < start else now + tick
        for one in ledgers.values():
            one.admit(now)
            while one.fold(FOLD_BATCH) == FOLD_BATCH:
                pass
        while waiting and waiting[0].at <= now:
            fleet.add_recovery(waiting.pop(0))
        if now >= start and not first.log:
            policy, baseline = policies.of(first.state.name), first.profiles()[first.state.name]
            scope_bp = ladder.first_bp(policy, first.state.holdback_bp, baseline.baseline)
            first.change(Event.START, "a person", "starts", now, scope_bp=scope_bp)
        pilots.lead(now)
        done.errors += pilots.turn(fleet.controls(), fleet.open_counts(), now).errors
        _note(done, ledgers, (now - start) / timedelta(days=1))
    done.decisions = fleet.decisions(None, 1_000_000)[::-1]
    return done


def _note(done: Climb, ledgers: Mapping[str, StreamLedger], day: float) -> None:
    for name, one in ledgers.items():
        if one.log and name not in done.entered:
            done.entered[name] = day
        if one.state.stage is Stage.GRADUATED:
            done.graduated.setdefault(name, day)
        if name in done.entered and one.state.stage is Stage.LEGACY:
            done.reverted.setdefault(name, day)
