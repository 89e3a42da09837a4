"""Gathers what a decision is made on; `why`, the controller and `replay` see the same value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rollout.evidence.counts import Counts, merged
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.errors import BadDuration
from rollout.evidence.promotion import overdispersion
from rollout.pilot.ports import HourRow, OpenSlow, PilotLedger, Recoveries, Recovery
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.situation import Shadowed, Situation, WayBack
from rollout.pilot.together import Together, added, all_of
from rollout.pilot.totals import NO_TOTALS, Totals
from rollout.pilot.trial import ON_TRIAL, Trial
from rollout.policy.policy import Policies, Policy
from rollout.policy.way import Baseline
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Stage

ShadowSource = Callable[[str], Shadowed]


def no_shadow(name: str) -> Shadowed:
    """What shadow runs showed where none are run."""
    return Shadowed()


@dataclass(frozen=True, slots=True)
class Beside:
    """Another member of the cohort that is on trial now: it shares the budget."""

    trial: Trial
    profile: LegacyProfile


@dataclass(frozen=True, slots=True)
class Around:
    """What is known beside the trial: legacy's profile, its waiting jobs, and the fleet's word.

    `healed` gives a sub-pipeline's recoveries since a time; None asks the ledger for its own.
    `shadowed` names the sub-pipelines that have an account of shadows; None asks for each.
    `counts` has what was read of many trials at once, by name; whose is not in it is asked for.
    `beside` are the other members of its cohort that are on trial.
    """

    profile: LegacyProfile
    backlog: int = 0
    held: str | None = None
    healed: Callable[[str, datetime], Sequence[Recovery]] | None = None
    shadowed: Collection[str] | None = None
    beside: Sequence[Beside] = ()
    counts: Mapping[str, tuple[Sequence[HourRow], Sequence[OpenSlow]]] = field(default_factory=dict)


def beside_of(
    name: str,
    policies: Policies,
    states: Callable[[str], ControlState | None],
    trials: Mapping[str, Trial],
    profiles: Mapping[str, LegacyProfile],
) -> tuple[Beside, ...]:
    """Give the other members of a sub-pipeline's cohort that have jobs on the concurrent path.

    One that has graduated is a pilot no more, and one that was reverted or killed costs nothing.
    """
    cohort = policies.cohort_of(name)
    found = []
    for other in () if cohort is None else cohort.members:
        state, trial = states(other), trials.get(other)
        if other == name or state is None or trial is None or state.killed:
            continue
        if trial.identity.stage is Stage.SPLIT and trial.on_trial:
            found.append(Beside(trial, profiles.get(other, LegacyProfile())))
    return tuple(found)


class Healed:
    """Recoveries of all sub-pipelines, read at once when the first one is asked for.

    A query for each of a thousand sub-pipelines costs more than the rest of their judgement.

    Args:
        recoveries: The ledger's.
        since: Nobody asks for older ones.
    """

    def __init__(self, recoveries: Recoveries, since: datetime) -> None:
        self._recoveries = recoveries
        self._since = since
        self._by_name: dict[str, list[Recovery]] | None = None

    def of(self, name: str, since: datetime) -> list[Recovery]:
        """Give those of one sub-pipeline that ended at or after `since`, oldest first."""
        if self._by_name is None:
            self._by_name = {}
            for one in self._recoveries.recoveries(None, self._since):
                self._by_name.setdefault(one.name, []).append(one)
        return [one for one in self._by_name.get(name, ()) if one.at >= since]


class Situations:
    """Reads the ledger and puts situations together.

    Args:
        ledger: Of trials.
        shadow: What shadow runs of a sub-pipeline showed.
        shadowed: Sub-pipelines that `shadow` may know something of; read once a turn, because a
            query for each of a thousand doubles the cost of judging them.
    """

    def __init__(
        self,
        ledger: PilotLedger,
        shadow: ShadowSource = no_shadow,
        shadowed: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._ledger = ledger
        self._shadow = shadow
        self.shadowed = shadowed
        self._known: dict[str, tuple[list[Recovery], list[tuple[datetime, DrillPair]]]] = {}

    def gather(
        self,
        trial: Trial,
        state: ControlState,
        policy: Policy,
        around: Around,
        now: datetime,
        *,
        totals: bool = True,
    ) -> Situation:
        """Put the situation of one sub-pipeline together.

        Args:
            trial: What the controller remembers.
            state: Control state that the trial follows.
            policy: The policy in force.
            around: What is known beside it.
            now: Aware time.
            totals: False leaves out the totals of the step, which cost most.
        """
        since = now - drills_age_max(policy)
        recoveries = around.healed or self._ledger.recoveries
        healed = recoveries(trial.name, since) if policy.drills_min else []
        drills = [one for one in healed if one.by_drill and _same_build(one, trial)]
        compared = self._compared(trial.name, drills)
        asked = around.shadowed is None or trial.name in around.shadowed
        own = self._totals(trial, around, now) if totals else NO_TOTALS
        baseline = baseline_of(trial, around.profile, policy)
        return Situation(
            now=now,
            state=state,
            step=trial.step,
            began_at=trial.began_at,
            looks=trial.looks,
            look_at_day=trial.look_at_day,
            evidence=trial.evidence,
            rate_legacy=around.profile.failure_rate,
            totals=own,
            thresholds_known=trial.thresholds is not None,
            design_effect=trial.design_effect,
            pairs=tuple(pair for _, pair in compared),
            step_pairs=_of_step(compared, trial.began_at),
            way_back=way_back(around, now),
            shadowed=self._shadow(trial.name) if asked else Shadowed(),
            held=around.held,
            cooldown_until=trial.cooldown_until,
            baseline=baseline,
            together=self._together(trial, own, baseline, around, policy, now) if totals else None,
        )

    def _compared(self, name: str, drills: list[Recovery]) -> list[tuple[datetime, DrillPair]]:
        """Match drills; those of the turn before are nearly always those of this one."""
        known = self._known.get(name)
        if known is None or known[0] != drills:
            known = self._known[name] = (drills, _compared(drills))
        return known[1]

    def prior(self, trial: Trial, state: ControlState, now: datetime) -> float:
        """What shadow pairs say beforehand of the step that begins with this state."""
        if trial.identity.stage is not Stage.SHADOW or state.stage not in ON_TRIAL:
            return 1.0
        return self._shadow(trial.name).prior(trial.began_at, now)

    def _together(
        self,
        trial: Trial,
        own: Totals,
        baseline: Baseline | None,
        around: Around,
        policy: Policy,
        now: datetime,
    ) -> Together | None:
        """What it shares with the members of its cohort that are on trial; None without any."""
        if not around.beside or baseline is None or not baseline.jobs_a_week:
            return None
        known = [baseline_of(one.trial, one.profile, policy) for one in around.beside]
        beside = [one for one in known if one is not None]
        scope_bp = trial.identity.scope_bp
        level = [one.trial for one in around.beside if one.trial.identity.scope_bp == scope_bp]
        totals = added([own, *(self._totals(one, around, now) for one in level)])
        return Together(1 + len(beside), all_of([baseline, *beside]), 1 + len(level), totals)

    def _totals(self, trial: Trial, around: Around, now: datetime) -> Totals:
        if (known := around.counts.get(trial.name)) is not None:
            return totals_of(*known)
        hours = self._ledger.hours(trial.name, trial.step)
        return totals_of(hours, self._ledger.open_slow(trial, now))


def baseline_of(trial: Trial, profile: LegacyProfile, policy: Policy) -> Baseline | None:
    """What is known of the traffic: legacy's failures before the trial, jobs as they come now.

    A pipeline of 500 jobs a day that becomes 1,000 during its trial has a budget for 1,000.
    """
    before = trial.baseline or profile.baseline
    days = (trial.scored_to - trial.began_at).total_seconds() / policy.day_s
    jobs = trial.evidence.admitted_concurrent + trial.evidence.admitted_legacy
    if not trial.on_trial or days < MEASURED_DAYS_MIN or not jobs:
        return before
    rate = profile.failure_rate or 0.0 if before is None else before.rate_failed
    return Baseline(7.0 * jobs / days, rate)


MEASURED_DAYS_MIN = 1.0
"""Less than a day of a step says little about a week's jobs."""


def drills_age_max(policy: Policy) -> timedelta:
    """Drills older than this prove nothing any more."""
    return timedelta(seconds=policy.drills_max_age_days * policy.day_s)


def oldest_drill(policies: Policies, names: Iterable[str], now: datetime) -> datetime:
    """When the oldest drill that may prove something to one of these ended."""
    ages = (drills_age_max(policies.of(name)) for name in names)
    return now - max(ages, default=timedelta(0))


def _same_build(recovery: Recovery, trial: Trial) -> bool:
    return recovery.version in (None, trial.identity.concurrent_build)


def totals_of(hours: Sequence[HourRow], slow: Sequence[OpenSlow]) -> Totals:
    """Add the hours of a step up; unfinished jobs that are slow already count as slow.

    A job that failed on both paths counts against the concurrent path here (see `Totals`).
    """
    failures, medians, tails = _by_hour(hours)
    median, tail = merged(medians), merged(tails)
    for one in slow:
        median = median + _one_sided(one.path, one.slow_median, one.slow_median)
        tail = tail + _one_sided(one.path, one.slow_median, one.slow_tail)
    return Totals(
        merged(failures),
        median,
        tail,
        overdispersion(failures),
        overdispersion(medians),
        overdispersion(tails),
        sum(hour.both_failed for hour in hours),
        sum(hour.unjudged for hour in hours),
    )


def _by_hour(hours: Sequence[HourRow]) -> tuple[list[Counts], list[Counts], list[Counts]]:
    """Give the counts of each hour: failures, slow at the median, slow at the tail.

    Jobs that failed on both paths count in all three: legacy's own bad inputs do as well.
    """
    by_hour: dict[int, list[int]] = {}
    for one in hours:
        counted = by_hour.setdefault(one.hour, [0] * 8)
        at, bad = (0 if one.path is JobPath.CONCURRENT else 4), one.both_failed
        counted[at] += one.jobs + bad
        counted[at + 1] += one.failed + bad
        counted[at + 2] += one.slow_median + bad
        counted[at + 3] += one.slow_tail + bad
    each = by_hour.values()
    return (
        [Counts(n, failed, m, of_legacy) for n, failed, _, _, m, of_legacy, _, _ in each],
        [Counts(n, slow, m, of_legacy) for n, _, slow, _, m, _, of_legacy, _ in each],
        [Counts(n, slow, m, of_legacy) for n, _, _, slow, m, _, _, of_legacy in each],
    )


def _one_sided(path: JobPath, jobs: int, hits: int) -> Counts:
    if path is JobPath.CONCURRENT:
        return Counts(jobs, hits, 0, 0)
    return Counts(0, 0, jobs, hits)


def pairs_of(drills: Sequence[Recovery]) -> tuple[DrillPair, ...]:
    """Match the two halves of each drill; a half without the other compares nothing."""
    return tuple(pair for _, pair in _compared(drills))


def step_pairs(drills: Sequence[Recovery], began_at: datetime) -> int:
    """Count the comparable pairs whose two halves both ended after the step began."""
    return _of_step(_compared(drills), began_at)


def _of_step(compared: Sequence[tuple[datetime, DrillPair]], began_at: datetime) -> int:
    return sum(since >= began_at and not pair.both_censored for since, pair in compared)


def _compared(drills: Sequence[Recovery]) -> list[tuple[datetime, DrillPair]]:
    """Give each pair, and when the first of its halves ended."""
    halves: dict[str, dict[JobPath, Recovery]] = {}
    for one in drills:
        if one.pair_id is not None:
            halves.setdefault(one.pair_id, {})[one.path] = one
    pairs = []
    for both in halves.values():
        if len(both) == len(JobPath):
            new, old = both[JobPath.CONCURRENT], both[JobPath.LEGACY]
            cap_s = max(new.cap_s, old.cap_s)
            try:
                pair = DrillPair(min(new.seconds, cap_s), min(old.seconds, cap_s), cap_s)
            except BadDuration:
                continue  # a time of 0 or under was never measured; the pair compares nothing
            pairs.append((min(new.at, old.at), pair))
    return pairs


def way_back(around: Around, now: datetime) -> WayBack:
    """What legacy showed, as the readiness check takes it."""
    profile = around.profile
    age = profile.success_age(now)
    return WayBack(
        None if age is None else age.total_seconds(),
        profile.capacity_per_s,
        profile.finish_per_s,
        around.backlog,
    )


def backlogs(counts: Sequence[tuple[str, JobPath, str, int]]) -> Mapping[str, int]:
    """Jobs that wait on legacy, by sub-pipeline."""
    waiting: dict[str, int] = {}
    for name, path, state, jobs in counts:
        if path is JobPath.LEGACY and state == "accepted":
            waiting[name] = waiting.get(name, 0) + jobs
    return waiting
