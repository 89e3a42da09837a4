"""`/metrics` of trials: verdicts, holds, decisions, the way back, who leads.

Verdicts of the revert tests and of the split are those of now; verdicts of the proofs are those
of the step's last judgement, because only a look at the totals gives them. A standby exports
`rollout_leader` 0 and no trial.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rollout.controller.tick import TickReport
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import HoldKind, holds_of
from rollout.pilot.judge import split_finding
from rollout.pilot.judgement import Action
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial
from rollout.routing.stages import Stage

NAME = ("sub_pipeline",)
COUNTED = (Action.HOLD, Action.ADVANCE, Action.GRADUATE, Action.REVERT)
"""Actions of decisions; each has its series from the start, or its first would go unseen."""


class TrialsExport:
    """Remembers what the last ticks judged and gives it to Prometheus."""

    def __init__(self) -> None:
        self._decisions: defaultdict[tuple[str, Action], int] = defaultdict(int)
        self._judged: dict[str, tuple[int, Sequence[Finding]]] = {}

    def tick(self, report: TickReport) -> None:
        """Take over what a tick judged."""
        for name, made in report.pilots.decisions:
            self._decisions[name, made.action] += 1
            step = int(made.window.split("/", 1)[0])
            self._judged[name] = (step, made.findings)

    def collect(self, report: TickReport) -> Iterator[Metric]:
        """Give all metrics of trials."""
        yield _gauge("rollout_leader", "1 while this controller leads.", ((), int(report.leads)))
        yield self._of_decisions(report)
        watched = [one for one in report.pilots.trials if one.identity.stage is not Stage.LEGACY]
        yield self._of_verdicts(report, [one for one in watched if one.on_trial])
        yield _of_holds(watched)
        yield from _of_shadows(report)
        yield from _of_progress(report, watched)
        yield from _of_reverts(report)
        yield from _of_way_back(report, watched)

    def _of_decisions(self, report: TickReport) -> Metric:
        family = CounterMetricFamily(
            "rollout_decisions",
            "Decisions since this controller started.",
            labels=("sub_pipeline", "action"),
        )
        for state in report.states:
            for action in COUNTED:
                made = self._decisions.get((state.name, action), 0)
                family.add_metric((state.name, action), made)
        return family

    def _of_verdicts(self, report: TickReport, trials: Sequence[Trial]) -> Metric:
        family = GaugeMetricFamily(
            "rollout_verdict",
            "1 for the verdict of a test on a sub-pipeline.",
            labels=("sub_pipeline", "metric", "verdict"),
        )
        found = [
            (name, one.metric, one.verdict)
            for name, shadowed in report.pilots.shadowed.items()
            for one in shadowed.findings
        ]
        for trial in trials:
            profile = report.pilots.profiles.get(trial.name, LegacyProfile())
            verdicts = self._verdicts(trial, profile)
            found += [(trial.name, metric, verdict) for metric, verdict in verdicts.items()]
        for name, metric, verdict in found:
            for one in Verdict:
                family.add_metric((name, metric, one.value), int(one is verdict))
        return family

    def _verdicts(self, trial: Trial, profile: LegacyProfile) -> dict[str, Verdict]:
        step, judged = self._judged.get(trial.name, (0, ()))
        found = {one.metric: one.verdict for one in judged if step == trial.step}
        now = trial.evidence.findings(profile.failure_rate)
        found |= {one.metric: one.verdict for one in now}
        split = split_finding(trial.identity.scope_bp, trial.evidence, trial.design_effect)
        return found | {split.metric: split.verdict}


def _of_holds(trials: Sequence[Trial]) -> Metric:
    family = GaugeMetricFamily(
        "rollout_hold",
        "1 for each thing that holds the next step, as last decided.",
        labels=("sub_pipeline", "kind"),
    )
    for trial in trials:
        holds = holds_of(trial.said)
        for kind in HoldKind:
            family.add_metric((trial.name, kind), int(kind in holds))
    return family


def _of_shadows(report: TickReport) -> Iterator[Metric]:
    shadowed = report.pilots.shadowed
    yield _gauge(
        "rollout_shadow_pairs",
        "Legacy jobs that ran on the concurrent path as well and were compared, in this pilot.",
        *(((name,), one.pairs) for name, one in shadowed.items()),
    )
    yield _gauge(
        "rollout_shadow_errors",
        "Copies of legacy jobs that ended in trouble on the concurrent path, in this pilot.",
        *(((name,), one.errors) for name, one in shadowed.items()),
    )


def _of_progress(report: TickReport, trials: Sequence[Trial]) -> Iterator[Metric]:
    yield _gauge(
        "rollout_step_age_seconds",
        "Time since the present step began.",
        *(((one.name,), (report.at - one.began_at).total_seconds()) for one in trials),
    )
    yield _gauge(
        "rollout_evidence_lag_seconds",
        "Age of what the revert tests have seen, beyond the time a window has to settle.",
        *(((one.name,), _lag_s(report, one)) for one in trials if one.on_trial),
    )


def _lag_s(report: TickReport, trial: Trial) -> float:
    due_s = trial.settle_s() + trial.window_s
    return max(0.0, (report.at - trial.scored_to).total_seconds() - due_s)


def _of_reverts(report: TickReport) -> Iterator[Metric]:
    trials = report.pilots.trials
    yield _gauge(
        "rollout_reverted",
        "1 while the controller's revert is in force and nobody has started again.",
        *(
            ((one.name,), int(one.acted == Action.REVERT and one.identity.stage is Stage.LEGACY))
            for one in trials
        ),
    )
    yield _gauge(
        "rollout_revert_unconfirmed",
        "1 while jobs still go to the concurrent path after a revert.",
        *(((one.name,), int(one.name in report.pilots.unconfirmed)) for one in trials),
    )


def _of_way_back(report: TickReport, trials: Sequence[Trial]) -> Iterator[Metric]:
    profiles = report.pilots.profiles
    found = [(one.name, profiles[one.name]) for one in trials if one.name in profiles]
    yield _gauge(
        "rollout_way_back_capacity_jobs_per_second",
        "Jobs a second that legacy has shown it can carry.",
        *(((name,), one.capacity_per_s) for name, one in found),
    )
    yield _gauge(
        "rollout_way_back_arrival_jobs_per_second",
        "Jobs a second that arrive on both paths and legacy would have to carry.",
        *(((name,), one.finish_per_s) for name, one in found),
    )
    ages = [(name, one.success_age(report.at)) for name, one in found]
    yield _gauge(
        "rollout_legacy_success_age_seconds",
        "Time since legacy last committed a job.",
        *(((name,), None if age is None else age.total_seconds()) for name, age in ages),
    )


def _gauge(
    name: str, help_text: str, *values: tuple[tuple[str, ...], float | None]
) -> GaugeMetricFamily:
    """A gauge by sub-pipeline; a value that is not known has no series."""
    labels = NAME if all(key for key, _ in values) else ()
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values:
        if value is not None:
            family.add_metric(key, value)
    return family
