"""The controller's judgement: fold, judge, act, record; one leader, one decision per window.

Who is authoritative: the ledger. What is remembered here between ticks is a copy, dropped with
the leadership. A decision is one transaction (evidence, decision, new control state, its line in
the log, the notice to people); the projection follows it, and the next tick makes good what it
missed. A tick may come late or twice: windows are taken in once by `scored_to`, decisions once by
their window's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from rollout.errors import IllegalTransition, LeaseLost, NotShadowable, StaleRevision
from rollout.evidence.errors import EvidenceError
from rollout.jobs.ports import OpenCount
from rollout.pilot.confirmation import Confirmation, confirm_from
from rollout.pilot.fleet import Member, enter, entries, held_by_fleet, member_of
from rollout.pilot.holds import hold_window
from rollout.pilot.inputs import Entry, answer_text, inputs_of
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action, Judgement
from rollout.pilot.not_yet import not_yet
from rollout.pilot.ports import (
    SPREAD_JOBS,
    NewDecision,
    PilotLedger,
    TrialRow,
    WindowRow,
)
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.readings import recovered_to, whole_windows, windows_of, with_recovery
from rollout.pilot.situation import Shadowed, Situation
from rollout.pilot.situations import (
    Around,
    Healed,
    Situations,
    backlogs,
    beside_of,
    drills_age_max,
)
from rollout.pilot.trial import Trial, after_look, begin, cool_down, follow, trial_from
from rollout.policy.in_force import text_of
from rollout.policy.policy import Policies, Policy
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Event, Stage, apply

log = structlog.get_logger("rollout")

WINDOWS_A_TICK = 20_000
"""Rows of windows taken in at once; what is left comes with the next tick."""

_RECOVERIES_BACK = timedelta(days=28)
"""Recoveries of legacy this far back give the median that a slow one is held against."""

_SHADOWED = (Stage.SHADOW, Stage.SPLIT)
"""Stages in which legacy jobs are copied into the shadow."""

_NONE = timedelta(0)


@dataclass(slots=True)
class PilotsReport:
    """What a tick's judgement did."""

    windows: int = 0
    decisions: list[tuple[str, Judgement]] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    profiles: Mapping[str, LegacyProfile] = field(default_factory=dict)
    shadowed: Mapping[str, Shadowed] = field(default_factory=dict)
    unconfirmed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Pilots:
    """Watches every sub-pipeline and decides for those on trial.

    Args:
        ledger: Of trials.
        situations: Gathers what a decision is made on.
        policies: In force.
        project: Copies changed control states to the store at once.
        tells: Whether people are told of decisions: each that changed something, or that waits
            for a person, leaves a notice in its own transaction.
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
        self._project = project
        self._tells = tells
        self._owner = owner
        self._ttl = ttl
        self._token: int | None = None
        self._held: dict[str, Trial] = {}
        self._look_again: dict[str, datetime] = {}
        self._spread_at: dict[str, datetime] = {}
        self._unread: dict[str, int] = {}
        self._shadowed: dict[str, Shadowed] = {}
        self._recoveries_since: datetime | None = None

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
        report.trials = list(self._held.values())
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
        if not self._held:
            self._remember(self._ledger.trial_rows(), report)
        days = {name: self._policies.of(name).day_s for name in by_name}
        report.profiles = self._ledger.pass_time(now, days)
        self._follow_all(token, by_name, report, now)
        self._take_in(token, now, report)
        waiting = backlogs([(one.name, one.path, one.state, one.jobs) for one in open_counts])
        members = self._members(by_name)
        oldest = max((drills_age_max(self._policies.of(name)) for name in by_name), default=_NONE)
        healed = Healed(self._ledger, now - oldest).of
        shadowed = self._situations.shadowed()
        for name, state in by_name.items():
            profile = report.profiles.get(name, LegacyProfile())
            around = Around(profile, waiting.get(name, 0), healed=healed, shadowed=shadowed)
            decided = len(report.decisions)
            self._consider(token, state, around, members, now, report)
            if len(report.decisions) > decided:  # two never advance on the same reading
                members[name] = member_of(state, self._held.get(name))
        self._grow_cohorts(token, by_name, members, now, report)

    def _forget(self) -> None:
        self._held.clear()
        self._look_again.clear()
        self._recoveries_since = None

    def _remember(self, rows: Sequence[TrialRow], report: PilotsReport) -> None:
        """Read the trials back; one that this release cannot read begins afresh."""
        for row in rows:
            name = row.columns["name"]
            try:
                self._held[name] = trial_from(row.columns, row.payload, self._policies.of(name))
            except (EvidenceError, KeyError, ValueError, TypeError) as error:
                report.errors.append(f"the trial of {name!r} begins afresh: {error}")
                self._unread[name] = row.columns["version"]

    # Evidence ----------------------------------------------------------------------------

    def _follow_all(
        self,
        token: int,
        states: Mapping[str, ControlState],
        report: PilotsReport,
        now: datetime,
    ) -> None:
        """Begin a step where scope, stage, build or fence have changed, whoever changed them."""
        builds = self._ledger.builds()
        changed = []
        for name, state in states.items():
            policy = self._policies.of(name)
            profile = report.profiles.get(name, LegacyProfile())
            built = builds.get(name, (None, None))
            trial = self._held.get(name)
            if trial is None:
                after = begin(state, built, policy, profile.thresholds, now, profile.baseline)
                after = replace(after, version=self._unread.pop(name, 0))
            else:
                prior = self._situations.prior(trial, state, now)
                after = follow(
                    trial, state, built, policy, profile.thresholds, now, prior, profile.baseline
                )
                if profile.thresholds is not None and after.thresholds != profile.thresholds:
                    after = replace(after, thresholds=profile.thresholds)
            if after != trial:
                changed.append(after)
        self._save(token, changed)

    def _take_in(self, token: int, now: datetime, report: PilotsReport) -> None:
        """Take in the windows that are old enough, and drills of the concurrent path."""
        rows = self._ledger.windows(now, WINDOWS_A_TICK)
        if len(rows) == WINDOWS_A_TICK:
            rows = whole_windows(rows)
        by_name: defaultdict[str, list[WindowRow]] = defaultdict(list)
        for row in rows:
            by_name[row.name].append(row)
        changed = []
        for name, mine in by_name.items():
            trial = self._held.get(name)
            if trial is None:
                continue
            profile = report.profiles.get(name, LegacyProfile())
            pace = 86_400.0 / self._policies.of(name).day_s
            for begin_at, end_at, window in windows_of(mine, trial.thresholds is not None):
                try:
                    trial = trial.observe(window, begin_at, end_at, profile.failure_rate, pace)
                except EvidenceError as error:
                    report.errors.append(f"{name}: {error}")
                    trial = replace(trial, scored_to=max(trial.scored_to, end_at))
                report.windows += 1
            changed.append(trial)
        changed = self._take_in_early(now, report, changed)
        changed += self._take_in_recoveries(now, {one.name: one for one in changed})
        self._save(token, list({one.name: one for one in changed}.values()))

    def _take_in_early(
        self, now: datetime, report: PilotsReport, changed: list[Trial]
    ) -> list[Trial]:
        """Let the fast path see young jobs where legacy's take long."""
        fresh = self._held | {one.name: one for one in changed}
        after = {one.name: one for one in changed}
        for name, trial in fresh.items():
            if trial.early_from() is None:
                continue
            rows = self._ledger.early_windows(trial, now, WINDOWS_A_TICK)
            if len(rows) == WINDOWS_A_TICK:
                rows = whole_windows(rows)
            rate = report.profiles.get(name, LegacyProfile()).failure_rate
            pace = 86_400.0 / self._policies.of(name).day_s
            for begin_at, end_at, window in windows_of(rows, thresholds=False):
                trial = trial.observe_early(window, begin_at, end_at, rate, pace)
            if rows:
                after[name] = trial
        return list(after.values())

    def _take_in_recoveries(self, now: datetime, fresh: Mapping[str, Trial]) -> list[Trial]:
        """Tell the recovery watch how concurrent paths healed in drills since the last tick."""
        watched = {
            name: fresh.get(name, held) for name, held in self._held.items() if held.on_trial
        }
        if not watched:
            return []
        since = self._recoveries_since or min(recovered_to(one) for one in watched.values())
        changed: dict[str, Trial] = {}
        for one in self._ledger.recoveries(None, since):
            self._recoveries_since = one.at
            trial = changed.get(one.name) or watched.get(one.name)
            if trial is None or one.path is not JobPath.CONCURRENT or not one.by_drill:
                continue
            if one.at > recovered_to(trial):
                healed = self._ledger.recoveries(one.name, now - _RECOVERIES_BACK)
                evidence = with_recovery(trial, one, healed)
                changed[one.name] = replace(trial, evidence=evidence, recovered_to=one.at)
        return list(changed.values())

    def _save(self, token: int, trials: Sequence[Trial]) -> None:
        if trials:
            self._ledger.save_trials(token, trials)
            for trial in trials:
                self._held[trial.name] = replace(trial, version=trial.version + 1)

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
        trial, policy = self._held.get(name), self._policies.of(name)
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
            self._held,
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
            self._act(token, policy, trial, situation, judgement, report)

    def _act(
        self,
        token: int,
        policy: Policy,
        trial: Trial,
        situation: Situation,
        judgement: Judgement,
        report: PilotsReport,
        entry: Entry | None = None,
    ) -> None:
        """Record what was judged and carry it out."""
        state, after = situation.state, trial
        if judgement.event is not None:
            try:
                changed = apply(
                    state,
                    judgement.event,
                    scope_bp=judgement.to_bp,
                    seen_revision=state.revision,
                    effects=self._ledger.effects(state.name)
                    if judgement.event is Event.SHADOW
                    else None,
                )
            except (IllegalTransition, NotShadowable) as error:
                report.errors.append(str(error))
                return
            prior = situation.shadowed.prior(trial.began_at, situation.now)
            builds = trial.identity.builds
            after = follow(
                trial,
                changed,
                builds,
                policy,
                trial.thresholds,
                situation.now,
                prior,
                situation.baseline,
            )
            after = replace(after, acted=str(judgement.action), acted_at=situation.now)
            if judgement.action is Action.REVERT:
                after = cool_down(after, policy, situation.now)
        elif judgement.look:
            after = after_look(trial, policy, situation.now)
        else:
            after = replace(trial, said=judgement.window)
        if self._record(
            token, inputs_of(policy, situation, entry), situation, judgement, after, report
        ):
            report.decisions.append((trial.name, judgement))

    def _record(
        self,
        token: int,
        inputs: str,
        situation: Situation,
        judgement: Judgement,
        after: Trial,
        report: PilotsReport,
    ) -> bool:
        decision = NewDecision(
            name=situation.state.name,
            at=situation.now,
            window=judgement.window,
            action=str(judgement.action),
            sentence=judgement.sentence,
            inputs=inputs,
            answer=answer_text(judgement.to_json()),
            event=judgement.event,
            to_bp=judgement.to_bp,
            seen_revision=situation.state.revision,
            notice=self._tells and (judgement.event is not None or judgement.person),
        )
        try:
            state = self._ledger.decide(token, decision, after)
        except (StaleRevision, IllegalTransition, NotShadowable) as error:
            report.errors.append(str(error))  # somebody changed it just now; judged anew next tick
            return False
        if state is None:  # decided before: only what is remembered is brought up to date
            self._save(token, [after])
            return False
        self._held[after.name] = replace(after, version=after.version + 1)
        log.info("decided", name=after.name, action=str(judgement.action), why=judgement.sentence)
        if judgement.event is not None:
            not_projected = self._project([state])
            if not_projected is not None:
                report.errors.append(not_projected)
        return True

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
            self._save(token, [confirmed])
        else:
            self._held[trial.name] = replace(confirmed, version=confirmed.version + 1)
        log.info("revert confirmed", name=trial.name, why=decision.sentence)
        return self._held[trial.name]

    def _measure_spread(self, trial: Trial, now: datetime) -> Trial:
        """Look once an hour at how the jobs spread over routing keys."""
        if not trial.on_trial or now < self._spread_at.get(trial.name, now):
            return trial
        self._spread_at[trial.name] = now + timedelta(seconds=max(trial.hour_s, trial.window_s))
        spread = self._ledger.key_spread(trial.name, SPREAD_JOBS)
        measured = replace(trial, design_effect=max(1.0, spread.design_effect))
        self._held[trial.name] = measured
        return measured

    # The fleet ---------------------------------------------------------------------------

    def _members(self, states: Mapping[str, ControlState]) -> dict[str, Member]:
        """What the sub-pipelines have to know of each other."""
        return {name: member_of(state, self._held.get(name)) for name, state in states.items()}

    def _grow_cohorts(
        self,
        token: int,
        states: Mapping[str, ControlState],
        members: Mapping[str, Member],
        now: datetime,
        report: PilotsReport,
    ) -> None:
        """Let the next members of a cohort enter, when its first has proved itself."""
        for cohort in self._policies.cohorts:
            names, said = entries(cohort, members, self._policies, now)
            for name in names:
                state, policy, trial = states[name], self._policies.of(name), self._held.get(name)
                if trial is None or not policy.automatic:
                    continue
                profile = report.profiles.get(name, LegacyProfile())
                situation = self._situations.gather(
                    trial, state, policy, Around(profile), now, totals=False
                )
                judgement = enter(policy, situation, cohort, said)
                if judgement is None:
                    continue
                entry = Entry.of(cohort, members, self._policies)
                self._act(token, policy, trial, situation, judgement, report, entry)
