"""What `/metrics` says of trials: one verdict each, decisions from 0, reverts, the way back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollout.adapters.prometheus import Exporter
from rollout.controller.tick import TickReport
from rollout.evidence.paired_time import PairedTime
from rollout.pilot.holds import HoldKind, hold_window
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action, Judgement
from rollout.pilot.pilots import PilotsReport
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.situation import Shadowed, Situation
from rollout.pilot.trial import Trial
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState, Stage
from tests.builders import NAME, split

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
POLICY = Policy(drills_min=0, quiet=())
PROFILE = LegacyProfile(peak_per_s=2.0, finish_per_s=3.0, success_at=NOW.timestamp() - 7)


def trial(state: ControlState | None = None, **values: Any) -> Trial:
    """A trial that began an hour ago and has seen half of it."""
    made = begin(state or split(3200), (None, None), POLICY, None, NOW - timedelta(hours=1))
    return replace(made, scored_to=NOW - timedelta(minutes=30), **values)


def judged(one: Trial) -> Judgement:
    """What is judged of it, with nothing seen."""
    seen = Situation(NOW, split(3200), one.step, one.began_at, 0, 0.0, one.evidence)
    seen = replace(seen, baseline=Baseline(7_000.0))
    return judge(POLICY, seen)


def samples(exporter: Exporter) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by name and the values of its labels but the sub-pipeline's."""
    text = generate_latest(exporter.registry).decode()
    return {
        (one.name, tuple(value for key, value in one.labels.items() if key != "sub_pipeline")): (
            one.value
        )
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def after(
    exporter: Exporter, *trials: Trial, leads: bool = True, **pilots: Any
) -> dict[Any, float]:
    """What is exported after one more tick."""
    report = PilotsReport(trials=list(trials), profiles={NAME: PROFILE}, **pilots)
    exporter.tick(TickReport(at=NOW, leads=leads, states=[split(3200)], pilots=report))
    return samples(exporter)


def test_one_verdict_of_each_test_is_set() -> None:
    """Of the four verdicts of a metric exactly one is 1, also before any decision."""
    found = after(Exporter(), trial())
    for metric in ("error_rate", "fast_path", "cycle_time", "recovery_watch", "sample_ratio"):
        values = {key[1][1]: value for key, value in found.items() if key[1][:1] == (metric,)}
        assert len(values) == 4
        assert [verdict for verdict, value in values.items() if value == 1.0] == ["insufficient"]


def test_proofs_are_those_of_the_step() -> None:
    """The verdicts of a look stay until the step ends, and not beyond."""
    exporter, one = Exporter(), trial()
    key = ("rollout_verdict", ("cycle_tail", "insufficient"))
    assert key not in after(exporter, one)
    assert after(exporter, one, decisions=[(NAME, judged(one))])[key] == 1.0
    assert key in after(exporter, one)
    assert key not in after(exporter, replace(one, step=one.step + 1))


def test_decisions_are_counted_from_zero() -> None:
    """A series that begins at 1 would hide its first revert from `increase`."""
    exporter, one = Exporter(), trial()
    key = ("rollout_decisions_total", ("revert",))
    assert after(exporter, one)[key] == 0.0
    made = replace(judged(one), action=Action.REVERT)
    assert after(exporter, one, decisions=[(NAME, made)])[key] == 1.0
    assert after(exporter, one)[key] == 1.0


def test_what_holds_is_exported() -> None:
    """Each kind of hold is its own series, and comes back from the stored trial."""
    said = hold_window(1, (HoldKind.BAKE, HoldKind.WAY_BACK))
    found = after(Exporter(), trial(said=said))
    held = {kind for kind in HoldKind if found["rollout_hold", (str(kind),)] == 1.0}
    assert held == {HoldKind.BAKE, HoldKind.WAY_BACK}


def test_a_revert_and_its_confirmation() -> None:
    """Reverted until a person starts again; unconfirmed while jobs still go concurrent."""
    legacy = ControlState(NAME, stage=Stage.LEGACY, salt=NAME, revision=4)
    one = trial(legacy, acted=str(Action.REVERT))
    found = after(Exporter(), one, unconfirmed=[NAME])
    assert found["rollout_reverted", ()] == found["rollout_revert_unconfirmed", ()] == 1.0
    assert not any(name == "rollout_verdict" for name, _ in found)
    started = after(Exporter(), trial(acted=str(Action.REVERT)))
    assert started["rollout_reverted", ()] == started["rollout_revert_unconfirmed", ()] == 0.0


def test_the_way_back_and_ages() -> None:
    """Capacity, arrivals, last success, step age, and how far the evidence lags behind."""
    found = after(Exporter(), trial())
    assert found["rollout_way_back_capacity_jobs_per_second", ()] == 2.0
    assert found["rollout_way_back_arrival_jobs_per_second", ()] == 3.0
    assert found["rollout_legacy_success_age_seconds", ()] == 7.0
    assert found["rollout_step_age_seconds", ()] == 3600.0
    # A window of 10 s that settles for 2 s is no lag.
    assert found["rollout_evidence_lag_seconds", ()] == 1800.0 - 12.0


def test_a_standby_exports_no_trial() -> None:
    """It says that it does not lead, and nothing that it does not know."""
    found = after(Exporter(), leads=False)
    assert found["rollout_leader", ()] == 0.0
    assert not any(name in ("rollout_verdict", "rollout_hold") for name, _ in found)
    assert after(Exporter(), trial())["rollout_leader", ()] == 1.0


def test_a_shadow_has_its_pairs_its_errors_and_its_verdicts() -> None:
    """Before the first step there is no other evidence."""
    shadowed = Shadowed(12, 2, (PairedTime().finding(),))
    found = after(Exporter(), shadowed={NAME: shadowed})
    assert found["rollout_shadow_pairs", ()] == 12
    assert found["rollout_shadow_errors", ()] == 2
    assert found["rollout_verdict", ("shadow_time", "insufficient")] == 1
    assert found["rollout_verdict", ("shadow_time", "regress")] == 0
