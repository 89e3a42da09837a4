"""Why a sub-pipeline stands where it stands: what `rollout why` and `rollout status` say.

Reads only. It puts trial and situation together from the ledger as the controller does at its
next tick, and asks the same `judge`; what it says is therefore what that tick will do, unless
jobs finish or people act between. Looking uses up no look.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from rollout.control.kill_log import last_change
from rollout.desk.in_force import InForce, read_in_force
from rollout.desk.lately import read_lately
from rollout.desk.leader import Leader, read_leader
from rollout.desk.pending import Pending, Why
from rollout.desk.releases import UNNAMED, read_releases
from rollout.desk.running_drills import read_running
from rollout.desk.shadow_first import Beginnings, may_go_first
from rollout.drills.ports import Journals
from rollout.errors import UnknownSubPipeline
from rollout.evidence.errors import EvidenceError
from rollout.jobs.ports import Ledger
from rollout.jobs.recent import RecentJobs
from rollout.pilot.confirmation import ACTION as CONFIRM
from rollout.pilot.confirmation import Confirmation, confirm_from
from rollout.pilot.fleet import held_by_fleet, member_of
from rollout.pilot.judge import judge
from rollout.pilot.outlook import outlook
from rollout.pilot.ports import BuildLog, DecisionRecord, Leadership, Recoveries, Trials
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.situations import (
    Around,
    Healed,
    Situations,
    backlogs,
    beside_of,
    oldest_drill,
)
from rollout.pilot.trial import Trial, trial_from
from rollout.pilot.trial_steps import follow
from rollout.policy.policy import Policies, Policy
from rollout.routing.clock import Clock
from rollout.routing.stages import ControlState, Stage

_DECISIONS_BACK = 20


@dataclass(frozen=True, slots=True)
class Explained:
    """What is pending, who judges it, and where the file says another policy than the leader's."""

    pending: tuple[Pending, ...]
    leader: Leader
    policy_difference: str | None = None


class WhyLedger(
    Ledger, Trials, BuildLog, Leadership, RecentJobs, Journals, Beginnings, Recoveries, Protocol
):  # fmt: skip
    """The ledger, as far as it is asked why."""


class Explanations:
    """Reads the ledger and says why.

    Args:
        ledger: Control states, open jobs, trials, decisions, who leads.
        situations: Gathers what a decision is made on.
        policies: Reads today's file; raises WrongSettings. The leader's own go first.
        clock: Time.
        ttl: How long a controller leads after it last said so.
    """

    def __init__(
        self,
        ledger: WhyLedger,
        situations: Situations,
        policies: Callable[[], Policies],
        clock: Clock,
        ttl: timedelta,
    ) -> None:
        self._ledger = ledger
        self._situations = situations
        self._policies = policies
        self._clock = clock
        self._ttl = ttl

    def why(self, name: str) -> Why:
        """Say everything about one sub-pipeline.

        Raises:
            UnknownSubPipeline: There is no such name.
            LedgerUnreachable: The ledger does not answer.
        """
        page = self.explain(name)
        (pending,) = page.pending
        decided = self._ledger.decisions(name, _DECISIONS_BACK)
        last = next((one for one in decided if one.action != CONFIRM), None)
        said = self._confirmation(pending.state, pending.trial, decided)
        changed = last_change(self._ledger, name)
        now, leader = self._clock.now(), page.leader
        lately = read_lately(self._ledger, [name], now)[name]
        drill = read_running(self._ledger, now).get(name)
        releases = read_releases(self._ledger, name).get(name, UNNAMED)
        return Why(
            now, pending, last, said, leader, page.policy_difference, lately, drill, releases,
            changed,
        )  # fmt: skip

    def in_force(self) -> InForce:
        """The policies that are judged by.

        Raises:
            LedgerUnreachable: The ledger does not answer.
            WrongSettings: Nobody leads, and the policies cannot be read.
        """
        names = [state.name for state in self._ledger.controls()]
        leader = read_leader(self._ledger, self._clock, self._ttl)
        return read_in_force(self._ledger, leader, self._policies, names)

    def led_by(self) -> Explained:
        """Say who leads, by which policy; judge nothing.

        Raises:
            LedgerUnreachable: The ledger does not answer.
            WrongSettings: Nobody leads, and the policies cannot be read.
        """
        states = {state.name: state for state in self._ledger.controls()}
        leader = read_leader(self._ledger, self._clock, self._ttl)
        in_force = read_in_force(self._ledger, leader, self._policies, states)
        return Explained((), leader, in_force.difference)

    def explain(self, name: str | None = None) -> Explained:
        """Say what the controller would decide now, about one sub-pipeline or all of them.

        Raises:
            UnknownSubPipeline: There is no such name.
            LedgerUnreachable: The ledger does not answer.
            WrongSettings: Nobody leads, and the policies cannot be read.
        """
        now = self._clock.now()
        states = {state.name: state for state in self._ledger.controls()}
        if name is not None and name not in states:
            raise UnknownSubPipeline(name, states)
        leader = read_leader(self._ledger, self._clock, self._ttl)
        in_force = read_in_force(self._ledger, leader, self._policies, states)
        policies = in_force.policies
        needed = states if name is None else _with(name, states, policies)
        read = {one: state for one, state in states.items() if one in needed}
        profiles = self._profiles_of(read, policies, now)
        trials, unread = self._trials_of(read, profiles, policies, now)
        members = {one: member_of(state, trials.get(one)) for one, state in states.items()}
        counts = self._ledger.open_counts()
        waiting = backlogs([(one.name, one.path, one.state, one.jobs) for one in counts])
        effects = self._ledger.declared_effects()
        shared = Around(LegacyProfile())
        if name is None:  # four queries for all instead of four for each
            shared = Around(
                LegacyProfile(),
                healed=Healed(self._ledger, oldest_drill(policies, states, now)).of,
                shadowed=self._situations.shadowed(),
                counts=self._ledger.counts_of(list(trials.values()), now),
            )
        rows = []
        for one, state in states.items():
            if name not in (None, one):
                continue
            trial, policy = trials.get(one), policies.of(one)
            if trial is None:
                said = unread.get(one, "no controller has looked at it yet: `rollout controller`")
                rows.append(Pending(state, policy, None, None, None, None, said))
                continue
            held = held_by_fleet(one, members, policies, now)
            beside = beside_of(one, policies, states.get, trials, profiles)
            around = replace(
                shared, profile=profiles[one], backlog=waiting.get(one, 0), held=held, beside=beside
            )
            judged = self._judged(trial, state, policy, around, now)
            if state.stage is Stage.LEGACY and not state.killed:
                first = may_go_first(self._ledger, one, effects.get(one))
                judged = replace(judged, shadow_first=first)
            rows.append(judged)
        return Explained(tuple(rows), leader, in_force.difference)

    def _profiles_of(
        self, states: Mapping[str, ControlState], policies: Policies, now: datetime
    ) -> dict[str, LegacyProfile]:
        """What legacy showed, with the days and spans closed that are over by now."""
        profiles = self._ledger.profiles(states)
        return {
            name: profiles.get(name, LegacyProfile()).pass_time(now, policies.of(name).day_s, 0)
            for name in states
        }

    def _trials_of(
        self,
        states: Mapping[str, ControlState],
        profiles: Mapping[str, LegacyProfile],
        policies: Policies,
        now: datetime,
    ) -> tuple[dict[str, Trial], dict[str, str]]:
        """Read the trials, each in the step that its control state is in by now.

        Returns:
            The trials, and why one could not be read.
        """
        trials, unread, builds = {}, {}, self._ledger.builds()
        for row in self._ledger.trial_rows(states):
            name = row.columns["name"]
            if name not in states:
                continue
            policy, found = policies.of(name), profiles[name].thresholds
            try:
                trial = trial_from(row.columns, row.payload, policy)
            except (EvidenceError, KeyError, ValueError, TypeError) as error:
                unread[name] = f"its pilot cannot be read and begins afresh: {error}"
                continue
            built = builds.get(name, (None, None))
            prior = self._situations.prior(trial, states[name], now)
            trial = follow(trial, states[name], built, policy, found, now, prior)
            trials[name] = trial if found is None else replace(trial, thresholds=found)
        return trials, unread

    def _judged(
        self, trial: Trial, state: ControlState, policy: Policy, around: Around, now: datetime
    ) -> Pending:
        """Judge as the next tick will; how jobs share keys it has measured, once in an hour."""
        situation = self._situations.gather(
            trial, state, policy, around, now, totals=trial.on_trial and not state.killed
        )
        judgement = judge(policy, situation)
        return Pending(
            state, policy, trial, situation, judgement, outlook(policy, situation, judgement)
        )

    def _confirmation(
        self, state: ControlState, trial: Trial | None, decided: Sequence[DecisionRecord]
    ) -> str | None:
        """Say whether routing follows the last revert."""
        if state.stage is not Stage.LEGACY or (trial is not None and trial.on_trial):
            return None  # a person has gone on: that revert is over
        if trial is not None and trial.reverted_at is not None and not trial.on_trial:
            since = confirm_from(trial.reverted_at)
            routed = self._ledger.routed_since(trial.name, since)
            return Confirmation(trial.step, since, dict(routed)).sentence
        newest = next((one for one in decided if one.action in (CONFIRM, "revert")), None)
        return newest.sentence if newest is not None and newest.action == CONFIRM else None


def _with(name: str, states: Collection[str], policies: Policies) -> Collection[str]:
    """Whose trials a judgement of this sub-pipeline takes: its own, and what it shares with others.

    Of two hundred the trial of one alone is read, unless a limit counts what all of them did.
    """
    if policies.fleet.advances_per_day_max is not None or policies.of(name).resource is not None:
        return states
    cohort = policies.cohort_of(name)
    beside = () if cohort is None else cohort.members
    return {name, *(one for one in beside if one in states)}
