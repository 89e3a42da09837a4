"""The controller's judgement: fold, judge, act, record; one leader, one decision per window.

Who is authoritative: the ledger. What is remembered between ticks (`HeldTrials`) is a copy, dropped
with the leadership. A decision is one transaction (`Enactment`). A tick may come late or twice:
windows are taken in once by `scored_to`, decisions once by their window's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rollout.errors import LeaseLost
from rollout.jobs.ports import OpenCount
from rollout.log import log
from rollout.pilot.confirmation import Confirmation, confirm_from
from rollout.pilot.enactment import Enactment
from rollout.pilot.fleet import (
    Member,
    enter,
    entries,
    held_at_the_door,
    held_by_fleet,
    member_of,
)
from rollout.pilot.held_trials import HeldTrials, PilotsReport
from rollout.pilot.holds import hold_window
from rollout.pilot.inputs import Entry, answer_text
from rollout.pilot.judge import judge
from rollout.pilot.not_yet import not_yet
from rollout.pilot.ports import (
    SPREAD_JOBS,
    NewDecision,
    PilotLedger,
)
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.situation import Shadowed
from rollout.pilot.situations import (
    Around,
    Healed,
    Situations,
    backlogs,
    beside_of,
    oldest_drill,
)
from rollout.pilot.trial import Trial
from rollout.policy.in_force import text_of
from rollout.policy.policy import Policies
from rollout.routing.stages import ControlState, Stage

__all__ = ["Pilots", "PilotsReport"]


_SHADOWED = (Stage.SHADOW, Stage.SPLIT)
"""Stages in which legacy jobs are copied into the shadow."""


class Pilots:
    """Watches every sub-pipeline and decides for those on trial.

    Args:
        ledger: Of trials.
        situations: Gathers what a decision is made on.
        policies: In force.
        project: Copies changed control states to the store at once.
        tells: Whether people are told of decisions.
        owner: Names this controller in the lease.
        ttl: Without a tick for this long another controller may lead.
    """

    def __init__(
        self,
        ledger: PilotLedger,
        situations: Situations,
        policies: Policies,
        project: Callable[[Sequence[ControlState]], str | None],
        tells: bool,
        owner: str,
        ttl: timedelta,
    ) -> None:
        self._ledger = ledger
        self._situations = situations
        self._policies = policies
        self._owner = owner
        self._ttl = ttl
        self._token: int | None = None
        self._held = HeldTrials(ledger, situations, policies)
        self._enactment = Enactment(ledger, self._held, project, tells)
        self._look_again: dict[str, datetime] = {}
        self._spread_at: dict[str, datetime] = {}
        self._shadowed: dict[str, Shadowed] = {}

    def lead(self, now: datetime) -> int | None:
        """Lead, or go on leading; the token of this leadership, None for a standby."""
        token = self._ledger.take_lease(self._owner, now, self._ttl)
        if token != self._token:
            self._forget()
            if token is not None:
                self._ledger.keep_policies(token, self._owner, text_of(self._policies), now)
            log.info("leads" if token is not None else "stands by", owner=self._owner, token=token)
        self._token = token
        return token

    def stop(self) -> None:
        """Stop leading, so that a standby need not wait."""
        if self._token is not None:
            self._ledger.drop_lease(self._token)
            self._token = None

    def turn(
        self, states: Sequence[ControlState], open_counts: Sequence[OpenCount], now: datetime
    ) -> PilotsReport:
        """Take in what is new and decide. Call it while leading.

        Raises:
            LedgerUnreachable: What was not written comes again with the next turn.
        """
        report = PilotsReport()
        if self._token is None:
            return report
        try:
            self._turn(self._token, states, open_counts, now, report)
        except LeaseLost as error:
            self._forget()
            report.errors.append(str(error))
        report.trials = list(self._held.by_name.values())
        shadowed = {one.name for one in report.trials if one.identity.stage in _SHADOWED}
        self._shadowed = {name: one for name, one in self._shadowed.items() if name in shadowed}
        report.shadowed = self._shadowed
        return report

    def _turn(
        self,
        token: int,
        states: Sequence[ControlState],
        open_counts: Sequence[OpenCount],
        now: datetime,
        report: PilotsReport,
    ) -> None:
        by_name = {state.name: state for state in states}
        if not self._held.by_name:
            self._held.remember(report)
        days = {name: self._policies.of(name).day_s for name in by_name}
        report.profiles = self._ledger.pass_time(now, days)
        self._held.follow_all(token, by_name, report, now)
        self._held.take_in(token, now, report)
        waiting = backlogs([(one.name, one.path, one.state, one.jobs) for one in open_counts])
        members = self._members(by_name)
        healed = Healed(self._ledger, oldest_drill(self._policies, by_name, now)).of
        shadowed = self._situations.shadowed()
        for name, state in by_name.items():
            profile = report.profiles.get(name, LegacyProfile())
            around = Around(profile, waiting.get(name, 0), healed=healed, shadowed=shadowed)
            decided = len(report.decisions)
            self._consider(token, state, around, members, now, report)
            if len(report.decisions) > decided:  # two never advance on the same reading
                members[name] = self._decided(state)
        self._grow_cohorts(token, by_name, members, now, report)

    def _forget(self) -> None:
        self._held.forget()
        self._look_again.clear()

    # Decisions ---------------------------------------------------------------------------

    def _consider(
        self,
        token: int,
        state: ControlState,
        around: Around,
        members: Mapping[str, Member],
        now: datetime,
        report: PilotsReport,
    ) -> None:
        """Judge one sub-pipeline, if anything can have changed."""
        name = state.name
        trial, policy = self._held.by_name.get(name), self._policies.of(name)
        if trial is None:
            return
        trial = self._confirm_revert(token, trial, now, report)
        if state.stage is Stage.LEGACY or state.killed:
            return
        worse = trial.on_trial and trial.evidence.latched
        if not worse and now < self._look_again.get(name, now):
            return
        self._look_again[name] = now + timedelta(seconds=trial.window_s)
        if not worse and state.stage is Stage.GRADUATED and trial.said:
            return
        trial = self._measure_spread(trial, now)
        beside = beside_of(
            name,
            self._policies,
            lambda one: members[one].state if one in members else None,
            self._held.by_name,
            report.profiles,
        )
        held_by = held_by_fleet(name, members, self._policies, now)
        around = replace(around, held=held_by, beside=beside)
        counted = bool(policy.jobs_min)
        situation = self._situations.gather(trial, state, policy, around, now, totals=counted)
        in_shadow = state.stage is Stage.SHADOW
        if in_shadow or situation.shadowed.pairs or situation.shadowed.errors:
            self._shadowed[name] = situation.shadowed
        held = [one.kind for one in not_yet(policy, situation, in_shadow=in_shadow)]
        if held and not in_shadow and not worse and hold_window(trial.step, held) == trial.said:
            return
        if trial.on_trial and not counted:
            situation = self._situations.gather(trial, state, policy, around, now)
        judgement = judge(policy, situation)
        if judgement.event is not None or judgement.look or judgement.window != trial.said:
            self._enactment.act(token, policy, trial, situation, judgement, report)

    def _confirm_revert(
        self, token: int, trial: Trial, now: datetime, report: PilotsReport
    ) -> Trial:
        """Hold a revert against what routing does since: a decision is not yet an effect."""
        if trial.reverted_at is None or trial.on_trial:
            return trial
        since = confirm_from(trial.reverted_at)
        if now < since:
            return trial
        routed = self._ledger.routed_since(trial.name, since)
        confirmation = Confirmation(trial.step, since, dict(routed))
        if confirmation.contradicted:
            report.unconfirmed.append(trial.name)
        answer = confirmation.answer()
        if answer is None:
            return trial
        confirmed = replace(trial, reverted_at=None)
        decision = NewDecision(
            name=trial.name,
            at=now,
            window=answer["window"],
            action=answer["action"],
            sentence=answer["sentence"],
            inputs=confirmation.inputs(),
            answer=answer_text(answer),
            event=None,
            to_bp=None,
            seen_revision=trial.step_revision,
        )
        if self._ledger.decide(token, decision, confirmed) is None:
            self._held.save(token, [confirmed])
        else:
            self._held.written(confirmed)
        log.info("revert confirmed", name=trial.name, why=decision.sentence)
        return self._held.by_name[trial.name]

    def _measure_spread(self, trial: Trial, now: datetime) -> Trial:
        """Look once an hour at how the jobs spread over routing keys."""
        if not trial.on_trial or now < self._spread_at.get(trial.name, now):
            return trial
        self._spread_at[trial.name] = now + timedelta(seconds=max(trial.hour_s, trial.window_s))
        spread = self._ledger.key_spread(trial.name, SPREAD_JOBS)
        measured = replace(trial, design_effect=max(1.0, spread.design_effect))
        self._held.measured(measured)
        return measured

    # The fleet ---------------------------------------------------------------------------

    def _members(self, states: Mapping[str, ControlState]) -> dict[str, Member]:
        """What the sub-pipelines have to know of each other."""
        return {
            name: member_of(state, self._held.by_name.get(name)) for name, state in states.items()
        }

    def _decided(self, state: ControlState) -> Member:
        """The same of one for which something was just decided: `state` was read before that."""
        trial = self._held.by_name[state.name]
        return member_of(replace(state, stage=trial.identity.stage), trial)

    def _grow_cohorts(
        self,
        token: int,
        states: Mapping[str, ControlState],
        members: dict[str, Member],
        now: datetime,
        report: PilotsReport,
    ) -> None:
        """Let the next members of a cohort enter, when its first has proved itself.

        `members` learns of each, so that two never enter on the same reading.
        """
        for cohort in self._policies.cohorts:
            names, said = entries(cohort, members, self._policies, now)
            for name in names:
                state, policy, trial = (
                    states[name],
                    self._policies.of(name),
                    self._held.by_name.get(name),
                )
                if trial is None or not policy.automatic:
                    continue
                if held_at_the_door(name, members, self._policies, trial, now) is not None:
                    continue
                profile = report.profiles.get(name, LegacyProfile())
                situation = self._situations.gather(
                    trial, state, policy, Around(profile), now, totals=False
                )
                judgement = enter(policy, situation, cohort, said)
                if judgement is None:
                    continue
                entry = Entry.of(cohort, members, self._policies)
                self._enactment.act(token, policy, trial, situation, judgement, report, entry)
                members[name] = self._decided(state)
