"""The plan of a trial as a pure function, and what a person is told of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.desk.plans import Assumed, TrafficUnknown, planned
from rollout.errors import WrongSettings
from rollout.evidence.counts import Counts
from rollout.evidence.error_rate import PROCESS, ErrorRate
from rollout.evidence.step_odds import poisson, uniform
from rollout.policies import GONE, gone_settings, parse_policies, write_budget
from rollout.policy.lint.traffic import near
from rollout.policy.plan import plan_for, proofs_of, reverted_from
from rollout.policy.policy import Cohort, Policies, Policy
from rollout.policy.way import Baseline
from rollout.routing.effects import Effects

THOUSAND = Baseline(7000.0, 0.005)


def test_the_plan_of_the_method() -> None:
    """1,000 jobs a day, .5 % failing, after a shadow: the table of the method's section 5."""
    plan = plan_for(Policy(), THOUSAND, 500, Effects.NONE)
    assert plan.shadow
    assert [one.scope_bp for one in plan.steps] == [1250, 2500, 5000, 9000]
    first = plan.steps[0]
    assert first.jobs_a_week == 875.0
    assert (first.points_failed, first.points_late) == pytest.approx((0.0169, 0.0521), abs=1e-4)
    assert first.first_look == pytest.approx(0.97, abs=0.03)
    assert first.days_nine == 7.0
    assert first.failed_worst == pytest.approx(18, abs=3)
    assert (round(plan.length.failed), round(plan.length.late)) == (30, 91)
    assert plan.length.days_half == pytest.approx(6.5 * 7, abs=3.5)
    assert plan.length.days_nine == pytest.approx(7.5 * 7, abs=3.5)
    assert not plan.hardly


def test_what_is_reverted_and_what_is_only_held() -> None:
    """At 100 jobs a day and 90 %, .5 -> 3 % lies between the budget and what 56 days revert."""
    plan = plan_for(Policy(), Baseline(700.0, 0.005), 500, Effects.NONE)
    last = plan.steps[-1]
    assert last.scope_bp == 9000
    assert (plan.first_day, plan.last_day) == (7.0, 56.0)
    assert last.reverted_first is not None
    assert last.reverted_last is not None
    assert 0.005 + last.points_failed < 0.03 < last.reverted_last < last.reverted_first
    page = planned("invoices", Policies(), Assumed(100.0, 0.005))
    assert "after day 56 of a step a person decides" in page.held[0]


@pytest.mark.parametrize(("share", "days"), [(0.9, 7.0), (0.5, 28.0), (0.125, 56.0)])
def test_about_half_of_pilots_are_reverted_at_the_rate_that_is_said(
    share: float, days: float
) -> None:
    """The judgement's own test on drawn pilots of 100 jobs a day, an hour at a time."""
    rate = reverted_from(PROCESS, Baseline(700.0, 0.005), share, days)
    assert rate is not None
    pilots = 60
    found = sum(_reverted(uniform(seed), share, days, rate) for seed in range(pilots))
    assert 0.25 < found / pilots < 0.85
    few = sum(_reverted(uniform(seed), share, days, 0.3 * rate) for seed in range(20))
    assert few <= 4


def _reverted(draw: Callable[[], float], share: float, days: float, rate: float) -> bool:
    """One pilot whose concurrent path fails at a rate, against legacy's .5 %."""
    test = ErrorRate.fresh().change_scope()
    for _ in range(round(24 * days)):
        new, old = poisson(draw, 100 * share / 24), poisson(draw, 100 * (1 - share) / 24)
        failed = [
            sum(draw() < one for _ in range(jobs)) for jobs, one in ((new, rate), (old, 0.005))
        ]
        test = test.observe(Counts(new, failed[0], old, failed[1]), 3600.0)
    return test.latched


def test_the_plan_reverts_as_strictly_as_the_policy() -> None:
    """A wider margin, or a smaller chance of error, lets more through; the plan says so."""
    usual = plan_for(Policy(), THOUSAND, 500).steps[-1]
    for policy in (Policy(revert_margin_ratio=3.0), Policy(alpha_error=1e-6)):
        milder = plan_for(policy, THOUSAND, 500).steps[-1]
        assert milder.failed_worst > usual.failed_worst
        for one, other in (
            (milder.reverted_first, usual.reverted_first),
            (milder.reverted_last, usual.reverted_last),
        ):
            assert one is not None
            assert other is not None
            assert one > other


def test_a_failure_rate_that_nobody_knows_is_not_told_as_none() -> None:
    """It is sized as none and said so; nor does a misspelt table pass in silence."""
    policies = Policies(sub_pipelines={"invocies": Policy(budget_failed=30.0)})
    page = planned("invoices", policies, Assumed(1000.0))
    assert "how many legacy fails is not known" in page.sentences[0]
    assert any("and one is for 'invocies'" in one for one in page.sentences)
    told = planned("invoices", Policies(), Assumed(1000.0, 0.0))
    assert "legacy fails 0 a week" in told.sentences[0]


def test_few_jobs_are_not_told_as_none() -> None:
    """A job in five days is no "0 jobs a day"."""
    page = planned("invoices", Policies(), Assumed(0.2, 0.0))
    assert "invoices: 0.2 jobs a day" in " ".join(page.sentences)


def test_half_and_double_of_the_budget() -> None:
    """Half takes longer and more often a person; double is shorter."""
    plan = plan_for(Policy(), THOUSAND, 500)
    days = [one.days_half for one in (plan.double, plan.length, plan.half)]
    assert None not in days
    assert days == sorted(days)  # type: ignore[type-var]
    assert plan.half.person > plan.length.person


def test_a_budget_that_can_hardly_be_proved_says_so_first() -> None:
    """Ten failed and forty late a week at 1,000 jobs a day: about half need a person."""
    policies = Policies(default=Policy(budget_failed=10.0, budget_late=40.0))
    found = planned("invoices", policies, Assumed(1000.0, 0.005))
    assert found.plan.hardly
    assert 0.3 < found.plan.length.person < 0.7
    assert "can hardly be proved" in found.sentences[0]
    assert "stated: budget_failed, budget_late" in found.sentences[2]


def test_the_same_plan_twice() -> None:
    """A plan is a pure function of policy and traffic."""
    one, other = (plan_for(Policy(), THOUSAND, 500).to_json() for _ in range(2))
    assert one == other


def test_a_plan_without_a_ledger_needs_the_traffic() -> None:
    """Whoever states it all needs no server; whoever states too little is told what to say."""
    found = planned("invoices", Policies(), Assumed(1000.0, 0.005, 12.5, Effects.NONE))
    assert "(over 12.5 s)" in found.sentences[0]
    way = next(one for one in found.sentences if one.startswith("Way:"))
    assert way.startswith("Way:    shadow 1 bake, then 12.5 % -> 25 %")
    assert [one.split()[0] for one in found.variants] == ["half", "double"]
    with pytest.raises(TrafficUnknown, match="--jobs-per-day"):
        planned("invoices", Policies(), Assumed(failing=0.005))


def test_a_cohort_is_told_that_it_shares_one_budget() -> None:
    """Ten pipelines of 100 jobs a day: 12 failed jobs a week each, 30 for all of them together."""
    cohort = Cohort(name="mails", members=tuple(f"mail-{number}" for number in range(10)))
    found = planned("mail-3", Policies(cohorts=(cohort,)), Assumed(100.0, 0.005))
    assert "may add 12 failed" in found.sentences[1]
    assert "share one budget and are proven together" in found.sentences[-1]
    assert "all 10 of them may add 30 failed and 91 late jobs a week" in found.sentences[-1]
    alone = planned("invoices", Policies(cohorts=(cohort,)), Assumed(100.0, 0.005))
    assert alone.shared is None


def test_the_budget_is_written_once(tmp_path: Path) -> None:
    """A table of its own below what is there; a second one is refused with what to write."""
    (tmp_path / "rollout.toml").write_text("[policy]\nbake_days = 7.0\n")
    table = planned("invoices", Policies(), Assumed(1000.0, 0.005)).table
    file = write_budget("invoices", table, tmp_path)
    policies, wrong = parse_policies(tomllib.loads(file.read_text()))
    assert wrong == []
    assert policies.of("invoices").budget_failed == 30.0
    assert policies.of("invoices").bake_days == 7.0
    with pytest.raises(WrongSettings, match=r"budget_failed = 30\.0"):
        write_budget("invoices", table, tmp_path)


def test_a_file_of_the_last_release_is_read_and_its_lines_are_named() -> None:
    """Settings that mean nothing any more are no error; each is named with what is so instead."""
    tables = {
        "policy": {
            "looks_max": 4,
            "bake_days": 5.0,
            "sub_pipeline": {"invoices": {"alpha_promote": 0.05, "margins": []}},
        }
    }
    policies, wrong = parse_policies(tables)
    assert wrong == []
    assert policies.default.bake_days == 5.0
    named = gone_settings(tables)
    assert [(one.table, one.key) for one in named] == [
        ("policy", "looks_max"),
        ("policy.sub_pipeline.invoices", "alpha_promote"),
        ("policy.sub_pipeline.invoices", "margins"),
    ]
    assert all(GONE[one.key] in one.sentence for one in named)


def test_a_check_proves_steps_as_the_plan_does() -> None:
    """The same pilots are drawn, without those of half and twice the budget; once for each."""
    policy, thin = Policy(), Baseline(700.0, 0.02)
    for baseline in (THOUSAND, thin):
        plan = plan_for(policy, baseline, 500, None, 50)
        way = tuple(one.scope_bp for one in plan.steps)
        assert proofs_of(policy, baseline, way, 500, 50) == tuple(one.proven for one in plan.steps)
    before = proofs_of.cache_info().misses
    assert proofs_of(Policy(), thin, way, 500, 50) == tuple(one.proven for one in plan.steps)
    assert proofs_of.cache_info().misses == before


def test_traffic_that_is_much_alike_is_sized_once() -> None:
    """To a hundredth; none stays none, and a rate stays one."""
    assert near(Baseline(1_010.0, 0.0202)) == near(Baseline(1_014.0, 0.0203))
    assert near(Baseline(1_010.0, 0.0202)) != near(Baseline(1_050.0, 0.0202))
    for jobs, rate in ((1.0, 0.0), (937.0, 1.0), (5e6, 0.31)):
        found = near(Baseline(jobs, rate))
        assert found.jobs_a_week == pytest.approx(jobs, rel=0.011)
        assert found.rate_failed == pytest.approx(rate, rel=0.011)
        assert found.rate_failed <= 1.0
