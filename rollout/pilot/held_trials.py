"""The trials that a leader remembers between its turns, and what it takes into them.

Who is authoritative: the ledger. This is a copy, dropped with the leadership. Windows of admission
are taken in once, by `scored_to`; what is not written comes again with the next turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rollout.evidence.errors import EvidenceError
from rollout.pilot.judgement import Judgement
from rollout.pilot.ports import PilotLedger, WindowRow
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.readings import recovered_to, whole_windows, windows_of, with_recovery
from rollout.pilot.situation import Shadowed
from rollout.pilot.situations import Situations
from rollout.pilot.trial import Admitted, Trial, trial_from
from rollout.pilot.trial_steps import begin, follow
from rollout.policy.policy import Policies
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState

WINDOWS_A_TICK = 20_000
"""Rows of windows taken in at once; what is left comes with the next tick."""

_RECOVERIES_BACK = timedelta(days=28)
"""Recoveries of legacy this far back give the median that a slow one is held against."""


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


class HeldTrials:
    """Every sub-pipeline's trial, by its name.

    Args:
        ledger: Of trials.
        situations: Say what shadows stake on a step.
        policies: In force.
    """

    def __init__(self, ledger: PilotLedger, situations: Situations, policies: Policies) -> None:
        self._ledger = ledger
        self._situations = situations
        self._policies = policies
        self._trials: dict[str, Trial] = {}
        self._unread: dict[str, int] = {}
        self._recoveries_since: datetime | None = None

    @property
    def by_name(self) -> Mapping[str, Trial]:
        """All of them."""
        return self._trials

    def forget(self) -> None:
        """Drop the copy: somebody else may write from now on."""
        self._trials.clear()
        self._recoveries_since = None

    def written(self, trial: Trial) -> None:
        """Remember a trial as the ledger has just written it."""
        self._trials[trial.name] = replace(trial, version=trial.version + 1)

    def measured(self, trial: Trial) -> None:
        """Remember what is not written before the trial changes."""
        self._trials[trial.name] = trial

    def remember(self, report: PilotsReport) -> None:
        """Read the trials back; one that this release cannot read begins afresh."""
        for row in self._ledger.trial_rows():
            name = row.columns["name"]
            try:
                self._trials[name] = trial_from(row.columns, row.payload, self._policies.of(name))
            except (EvidenceError, KeyError, ValueError, TypeError) as error:
                report.errors.append(f"the pilot of {name!r} begins afresh: {error}")
                self._unread[name] = row.columns["version"]

    def follow_all(
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
            trial = self._trials.get(name)
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
        self.save(token, changed)

    def take_in(self, token: int, now: datetime, report: PilotsReport) -> None:
        """Take in the windows that are old enough, and drills of the concurrent path."""
        rows = self._ledger.windows(now, WINDOWS_A_TICK)
        if len(rows) == WINDOWS_A_TICK:
            rows = whole_windows(rows)
        by_name: defaultdict[str, list[WindowRow]] = defaultdict(list)
        for row in rows:
            by_name[row.name].append(row)
        changed = []
        for name, mine in by_name.items():
            trial = self._trials.get(name)
            if trial is None:
                continue
            profile = report.profiles.get(name, LegacyProfile())
            rate = profile.failure_rate  # asked once: a rehearsal takes in many windows a turn
            pace = 86_400.0 / self._policies.of(name).day_s
            windows = windows_of(mine, trial.thresholds is not None)
            try:
                trial = trial.observe_all(windows, rate, pace)
            except EvidenceError:  # one of them, so that the others count
                trial = _each(trial, windows, rate, pace, report)
            report.windows += len(windows)
            changed.append(trial)
        changed = self._take_in_early(now, report, changed)
        changed += self._take_in_recoveries(now, {one.name: one for one in changed})
        self.save(token, list({one.name: one for one in changed}.values()))

    def _take_in_early(
        self, now: datetime, report: PilotsReport, changed: list[Trial]
    ) -> list[Trial]:
        """Let the fast path see young jobs where legacy's take long."""
        fresh = self._trials | {one.name: one for one in changed}
        after = {one.name: one for one in changed}
        for name, trial in fresh.items():
            if trial.early_from() is None:
                continue
            rows = self._ledger.early_windows(trial, now, WINDOWS_A_TICK)
            if len(rows) == WINDOWS_A_TICK:
                rows = whole_windows(rows)
            rate = report.profiles.get(name, LegacyProfile()).failure_rate
            pace = 86_400.0 / self._policies.of(name).day_s
            if rows:
                windows = windows_of(rows, thresholds=False)
                after[name] = trial.observe_early(windows, rate, pace)
        return list(after.values())

    def _take_in_recoveries(self, now: datetime, fresh: Mapping[str, Trial]) -> list[Trial]:
        """Tell the recovery watch how concurrent paths healed in drills since the last tick."""
        watched = {
            name: fresh.get(name, held) for name, held in self._trials.items() if held.on_trial
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

    def save(self, token: int, trials: Sequence[Trial]) -> None:
        """Write trials as they are now; raises LeaseLost."""
        if trials:
            self._ledger.save_trials(token, trials)
            for trial in trials:
                self.written(trial)


def _each(
    trial: Trial, windows: Sequence[Admitted], rate: float | None, pace: float, report: PilotsReport
) -> Trial:
    """Take in windows one by one, leaving out and reporting those that cannot be."""
    for begin_at, end_at, window in windows:
        try:
            trial = trial.observe(window, begin_at, end_at, rate, pace)
        except EvidenceError as error:
            report.errors.append(f"{trial.name}: {error}")
            trial = replace(trial, scored_to=max(trial.scored_to, end_at))
    return trial
