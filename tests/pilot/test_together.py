"""Members of a cohort that are on trial at once: one budget, one proof."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.evidence.counts import Counts
from rollout.evidence.harm_budget import automatic
from rollout.evidence.thresholds import Thresholds
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.proofs import asked_of, proofs
from rollout.pilot.situation import situation_from_json
from rollout.pilot.situations import beside_of
from rollout.pilot.together import Together, added, all_of
from rollout.pilot.totals import Totals
from rollout.pilot.trial import Trial
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Cohort, Policies, Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState, Stage
from tests.builders import NOW
from tests.pilot.test_judge import ready

NAMES = tuple(f"mail-{number}" for number in range(10))
POLICIES = Policies(cohorts=(Cohort(name="mails", members=NAMES),))
HUNDRED = Baseline(700.0, 0.005)


def trial(name: str, stage: Stage = Stage.SPLIT, scope_bp: int = 2500) -> Trial:
    """A member's trial."""
    state = ControlState(name, stage=stage, scope_bp=scope_bp, revision=1)
    return begin(state, (None, None), Policy(), Thresholds(10, 20), NOW, HUNDRED)


def test_ten_small_pipelines_have_the_budget_of_one_pilot() -> None:
    """Ten budgets of 12 would be 120 failed jobs a week; one pilot of 1,000 a day may cost 30."""
    traffic = all_of([HUNDRED] * 10)
    assert (traffic.jobs_a_week, traffic.rate_failed) == pytest.approx((7000.0, 0.005))
    alone = ready(baseline=HUNDRED)
    shared = replace(alone, together=Together(10, traffic, 10, alone.totals))
    one, all_ten = (asked_of(Policy(), seen) for seen in (alone, shared))
    assert one is not None
    assert all_ten is not None
    assert one.budget.failed == 12.0
    assert (
        all_ten.budget.failed
        == pytest.approx(automatic(0.005, 7000.0))
        == pytest.approx(29.5, abs=0.1)
    )
    assert (
        all_ten.stake(all_ten.budget.failed).margin.absolute < 0.3 * one.stake(12.0).margin.absolute
    )


def test_they_prove_together_what_none_proves_alone() -> None:
    """88 jobs each at 12.5 % prove nothing against the shared budget; ten times as many do."""
    each = Totals(Counts(88, 0, 612, 3), Counts(88, 40, 612, 306), Counts(88, 4, 612, 31))
    alone = ready(baseline=HUNDRED, totals=each)
    shared = all_of([HUNDRED] * 10)
    only_one = replace(alone, together=Together(10, shared, 1, each))
    ten = replace(alone, together=Together(10, shared, 10, added([each] * 10)))
    metric = "error_rate_step"
    assert not _proven(only_one, metric)
    assert _proven(ten, metric)
    assert "10 members of its cohort together" in proofs(Policy(), ten)[metric].sentence
    assert "1 of them at this scope" in proofs(Policy(), only_one)[metric].sentence


def _proven(seen: object, metric: str) -> bool:
    found = proofs(Policy(), seen)[metric]  # type: ignore[arg-type]
    return found.verdict.value == "pass"


def test_only_members_with_jobs_on_trial_share() -> None:
    """Neither who has graduated, was killed or not begun, nor a stranger, nor oneself."""
    trials = {
        "mail-0": trial("mail-0"),
        "mail-1": trial("mail-1", scope_bp=1250),
        "mail-2": trial("mail-2", Stage.GRADUATED, 9500),
        "mail-3": trial("mail-3", Stage.LEGACY, 0),
        "mail-4": trial("mail-4", Stage.SHADOW, 0),
        "other": trial("other"),
    }
    trials["mail-5"] = trial("mail-5")
    states = {name: ControlState(name, revision=1, killed=name == "mail-5") for name in trials}

    def beside(name: str) -> list[str]:
        found = beside_of(name, POLICIES, states.get, trials, {"mail-1": LegacyProfile()})
        return [one.trial.name for one in found]

    assert beside("mail-0") == ["mail-1"]
    assert beside("other") == []


def test_spread_counts_by_the_jobs_that_have_it() -> None:
    """One restless member among nine calm ones does not make all of them restless."""
    calm = Totals(Counts(100, 1, 300, 3))
    restless = replace(calm, phi_failures=11.0)
    assert added([restless] + [calm] * 9).phi_failures == pytest.approx(2.0)
    assert added([calm, calm]).failures == Counts(200, 2, 600, 6)
    assert added([Totals(), Totals()]).phi_failures == 1.0


def test_what_was_shared_is_stored_with_the_decision() -> None:
    """So that it can be made again; a situation of the release before has none."""
    alone = ready(baseline=HUNDRED)
    seen = replace(alone, together=Together(10, all_of([HUNDRED] * 10), 4, alone.totals))
    payload = seen.to_json()
    assert isinstance(payload, dict)
    assert situation_from_json(payload, Policy()) == seen
    older = {key: value for key, value in payload.items() if key != "together"}
    assert situation_from_json(older, Policy()).together is None
