"""What a sub-pipeline's traffic can prove, and where to begin."""

import subprocess
import sys
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rollout.policy.ladder import steps_bp
from rollout.policy.lint.finding import Level, PolicyFinding, Subject, Traffic
from rollout.policy.lint.rules import lint
from rollout.policy.lint.traffic import jobs_enough, proofs, provable
from rollout.policy.policy import Policy

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
RULES = ("never_proved", "hardly_proved", "nothing_proved")


def found(policy: Policy, jobs_per_week: float, error_rate: float) -> list[PolicyFinding]:
    """What lint says with this traffic."""
    return list(lint(Subject(policy, traffic=Traffic(jobs_per_week, error_rate)), NOW))


def proving(policy: Policy, jobs_per_week: float, error_rate: float) -> list[PolicyFinding]:
    """What of it is about proving a step."""
    return [one for one in found(policy, jobs_per_week, error_rate) if one.rule in RULES]


def test_the_example_of_the_method() -> None:
    """350 concurrent jobs a week pass a .5 % gate by week 4 only 36 % of the time; 7,000 do."""
    policy = Policy()
    small = proofs(policy, (100,), Traffic(35_000, 0.005))[0]
    assert small.jobs_per_look == 350
    assert small.chance == pytest.approx(0.36, abs=0.005)
    assert proofs(policy, (100,), Traffic(700_000, 0.005))[0].chance > 0.99
    enough = jobs_enough(policy, 100, 0.005)
    assert enough is not None
    assert 350 < enough < 7000


def test_a_small_sub_pipeline_is_told_where_to_begin() -> None:
    """With the numbers of each weak step, and the first step that its traffic can prove."""
    findings = proving(Policy(), 35_000, 0.005)
    first = next(one for one in findings if one.sentence.startswith("Step 1 %"))
    assert first.level is Level.WARNING
    assert "350 concurrent jobs a look show in 36% of cases by look 4" in first.sentence
    assert "4,768 show it at once" in first.sentence
    assert "begin at 4 %" in first.todo
    assert "ladder_bp = [400, 1600, 3200]" in first.todo
    top = next(one for one in findings if one.sentence.startswith("Step 95 %"))
    assert (top.level, top.rule) == (Level.ERROR, "never_proved")


def test_the_proposed_ladder_is_proved_by_the_same_traffic() -> None:
    """Whoever follows the proposal is not told the same again."""
    policy = Policy(ladder_bp=(400, 1600, 3200))
    assert proving(policy, 35_000, 0.005) == []


def test_ten_jobs_a_week_prove_nothing() -> None:
    """One finding says so, instead of one for each step, and that pooling is left."""
    (finding,) = proving(Policy(), 10, 0.005)
    assert (finding.level, finding.rule) == (Level.ERROR, "nothing_proved")
    assert "10 jobs a week prove no step at all" in finding.sentence
    assert "pool similar sub-pipelines" in finding.todo


@pytest.mark.parametrize("jobs", [0, 0.5, 1])
def test_no_traffic_at_all(jobs: float) -> None:
    """Nothing is divided by nothing."""
    assert [one.rule for one in proving(Policy(), jobs, 0.0)] == ["nothing_proved"]


def test_plenty_of_traffic_is_not_complained_about() -> None:
    """Also where the exact sum would take minutes: hundreds of millions of jobs."""
    assert found(Policy(), 20_000_000, 0.005) == []
    assert found(Policy(), 1e9, 0.3) == []
    assert found(Policy(), 20_000_000, 0.0) == []


def test_a_path_that_fails_nearly_always_can_prove_nothing() -> None:
    """The margin then allows everything, which no number of jobs changes; none is looked for."""
    assert proving(Policy(), 20_000_000, 0.005) == []  # loads scipy
    began = process_time()
    (finding,) = proving(Policy(), 20_000_000, 0.99)
    assert "no number is enough" in finding.sentence
    assert process_time() - began < 1, "measured 0.01 s, and 5 to 20 s with a search"


def test_the_last_step_needs_legacy_jobs_to_compare_with() -> None:
    """At 100 % there are none."""
    policy = Policy(ladder_bp=(5000, 10_000), holdback_bp=0)
    finding = next(one for one in proving(policy, 2_000_000, 0.005) if "100 %" in one.sentence)
    assert finding.level is Level.ERROR
    assert finding.todo.startswith("leave it out: ladder_bp = [5000]")


def test_looks_and_bake_time_change_what_is_proved() -> None:
    """Longer steps see more jobs; the chance is split over the looks."""
    traffic = Traffic(35_000, 0.005)
    chances = [
        proofs(policy, (100,), traffic)[0].chance
        for policy in (Policy(looks_max=1), Policy(), Policy(bake_days=14))
    ]
    assert chances == sorted(chances)
    loose = Policy(alpha_promote=0.2)
    assert proofs(loose, (100,), traffic)[0].chance > proofs(Policy(), (100,), traffic)[0].chance


@hypothesis_settings(max_examples=25)
@given(st.integers(0, 10**7), st.floats(0, 1), st.integers(1, 6))
def test_any_traffic_gives_an_answer(jobs: int, rate: float, looks: int) -> None:
    """A chance in 0..1 for each step, whatever is asked."""
    policy = Policy(looks_max=looks)
    steps = steps_bp(policy, 500)
    answers = proofs(policy, steps, Traffic(jobs, rate))
    assert [one.scope_bp for one in answers] == list(steps)
    assert all(0.0 <= one.chance <= 1.0 for one in answers)
    assert set(provable(answers)) <= set(steps)


def test_jobs_min_that_no_step_sees() -> None:
    """It would hold until the looks are used up."""
    findings = found(Policy(jobs_min=30_000), 700_000, 0.005)
    (finding,) = [one for one in findings if one.rule == "jobs_min_unreachable"]
    assert "Step 1 % sees 28,000 concurrent jobs in 4 looks, jobs_min asks for 30,000" in (
        finding.sentence
    )
    at_the_limit = found(Policy(jobs_min=28_000), 700_000, 0.005)
    assert "jobs_min_unreachable" not in {one.rule for one in at_the_limit}


def test_a_legacy_that_rarely_succeeds_is_rarely_ready() -> None:
    """With 25 minutes between two legacy jobs, a success within the last hour is luck."""
    policy = Policy(legacy_success_age_s_max=3600)
    findings = {one.rule: one for one in found(policy, 1120, 0.0)}
    finding = findings["legacy_rarely_seen"]
    assert "At 64 % legacy has one success in 1,500 s" in finding.sentence
    assert finding.todo == "use legacy_success_age_s_max = 4500 or more"
    relaxed = Policy(legacy_success_age_s_max=40_000)
    assert "legacy_rarely_seen" not in {one.rule for one in found(relaxed, 1120, 0.0)}


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
