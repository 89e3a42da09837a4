"""What a sub-pipeline's traffic can prove of its budget."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rollout.policy.ladder import steps_bp
from rollout.policy.lint.finding import Level, PolicyFinding, Subject, Traffic
from rollout.policy.lint.rules import lint
from rollout.policy.plan import plan_for
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
RULES = ("never_proved", "hardly_proved", "nothing_proved")


def found(policy: Policy, jobs_per_week: float, error_rate: float) -> list[PolicyFinding]:
    """What lint says with this traffic."""
    return list(lint(Subject(policy, traffic=Traffic(jobs_per_week, error_rate)), NOW))


def proving(policy: Policy, jobs_per_week: float, error_rate: float) -> list[PolicyFinding]:
    """What of it is about proving a step."""
    return [one for one in found(policy, jobs_per_week, error_rate) if one.rule in RULES]


def test_a_thousand_a_day_are_enough_with_their_own_budget() -> None:
    """The article's pipeline, and one of a tenth: nothing is complained about."""
    assert proving(Policy(), 7_000, 0.005) == []
    assert proving(Policy(), 700, 0.005) == []


def test_a_budget_that_the_traffic_can_hardly_prove() -> None:
    """Ten failed and forty late jobs a week: the steps are named, with who needs a person."""
    policy = Policy(budget_failed=10.0, budget_late=40.0)
    findings = proving(policy, 7_000, 0.005)
    half = next(one for one in findings if one.sentence.startswith("Step 50 %"))
    assert half.level is Level.WARNING
    assert "the budget of 10 extra failed and 40 extra late jobs a week" in half.sentence
    assert "need a person" in half.sentence
    assert "budget_failed" in half.todo


def test_late_jobs_are_sized_as_failed_ones_are() -> None:
    """A budget of late jobs alone can be too small for the traffic."""
    assert proving(Policy(budget_late=5.0), 7_000, 0.0) != []


def test_three_jobs_a_week_prove_nothing() -> None:
    """One finding says so, instead of one for each step, and that pooling is left."""
    (finding,) = proving(Policy(), 3, 0.005)
    assert (finding.level, finding.rule) == (Level.ERROR, "nothing_proved")
    assert "3 jobs a week prove no step at all" in finding.sentence
    assert "pool similar sub-pipelines" in finding.todo


@pytest.mark.parametrize("jobs", [0, 0.5, 1])
def test_no_traffic_at_all(jobs: float) -> None:
    """Nothing is divided by nothing."""
    assert [one.rule for one in proving(Policy(), jobs, 0.0)] == ["nothing_proved"]


def test_plenty_of_traffic_is_not_complained_about() -> None:
    """Also hundreds of millions of jobs, and paths that fail often."""
    assert found(Policy(), 20_000_000, 0.005) == []
    assert found(Policy(), 1e9, 0.3) == []
    assert found(Policy(), 20_000_000, 0.0) == []


def test_the_last_step_needs_legacy_jobs_to_compare_with() -> None:
    """At 100 % there are none."""
    policy = Policy(ladder_bp=(5000, 10_000), holdback_bp=0)
    finding = next(one for one in proving(policy, 2_000_000, 0.005) if "100 %" in one.sentence)
    assert (finding.level, finding.rule) == (Level.ERROR, "never_proved")


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**7), st.floats(0, 1), st.floats(0.5, 500))
def test_any_traffic_gives_an_answer(jobs: int, rate: float, budget: float) -> None:
    """A plan with a chance in 0..1 for each step, whatever is asked."""
    policy = Policy(budget_failed=budget)
    found(policy, jobs, rate)
    if jobs:
        plan = plan_for(policy, Baseline(jobs, rate), 500, None, 20)
        assert [one.scope_bp for one in plan.steps] == list(
            steps_bp(policy, 500, Baseline(jobs, rate))
        )
        assert all(0.0 <= one.proven <= 1.0 and one.failed_worst >= 0 for one in plan.steps)


def test_jobs_min_that_no_step_sees() -> None:
    """It would hold until the looks are used up."""
    findings = found(Policy(jobs_min=180_000), 700_000, 0.005)
    (finding,) = [one for one in findings if one.rule == "jobs_min_unreachable"]
    assert "sees 173,600 concurrent jobs in 15 looks, jobs_min asks for 180,000" in finding.sentence
    at_the_limit = found(Policy(jobs_min=173_000), 700_000, 0.005)
    assert "jobs_min_unreachable" not in {one.rule for one in at_the_limit}


def test_statistics_are_loaded_only_when_traffic_is_known() -> None:
    """`rollout policy show` and the controller's models cost no scipy."""
    program = (
        "import sys; from datetime import *;"
        "from rollout.policy.lint.rules import *; from rollout.policy.policy import *;"
        "from rollout.policy.lint.finding import *;"
        "lint(Subject(Policy(drills_min=3)), datetime.now(UTC));"
        "print([name for name in ('numpy', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
