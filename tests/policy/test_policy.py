"""Policies as values: defaults, what differs, steps."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from rollout.evidence.pair_wealth import proven_at
from rollout.policy.ladder import steps_bp
from rollout.policy.lint.proof import PAIRS_PROVING_MIN
from rollout.policy.policy import (
    Cohort,
    Fleet,
    Freeze,
    Policies,
    Policy,
    Quiet,
)

YEAR_END = Freeze(
    begin=datetime.fromisoformat("2026-12-20"),
    end=datetime.fromisoformat("2027-01-04"),
    why="year end",
)
MODELS = (Policy, Fleet, Cohort, Policies, Freeze, Quiet)


def test_the_defaults_are_the_method() -> None:
    """Doubling each week to 90 %, budgets by the traffic, drills before a quarter is left."""
    policy = Policy()
    assert steps_bp(policy, 500) == (310, 625, 1250, 2500, 5000, 9000)
    assert (policy.budget_failed, policy.budget_late) == (None, None)
    assert (policy.bake_days, policy.drills_min) == (7, 6)


def test_numbers_kept_apart_from_the_evidence_agree_with_it() -> None:
    """Fewer pairs than this never prove how a path heals, however fast it does."""
    assert proven_at([1e-9] * 10) == PAIRS_PROVING_MIN


@pytest.mark.parametrize("model", MODELS)
def test_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    """`rollout policy show` and the errors use the sentence; nothing can be changed or added."""
    for name, field in model.model_fields.items():
        assert (field.description or "").endswith("."), name
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    "values",
    [
        {"bake_days": "7"}, {"bake_days": True}, {"bake_days": -1}, {"bake_days": float("nan")},
        {"day_s": 0}, {"day_s": float("inf")}, {"automatic": 1}, {"automatic": "yes"},
        {"ladder_bp": []}, {"ladder_bp": [0, 100]}, {"ladder_bp": [100, 100]},
        {"ladder_bp": [200, 100]}, {"ladder_bp": [10_001]}, {"ladder_bp": [100.0]},
        {"ladder_bp": 100}, {"budget_failed": 0}, {"budget_late": -1.0}, {"jobs_min": -1},
        {"drills_min": 14}, {"alpha_error": 0}, {"alpha_error": 1}, {"budget_failed": "30"},
        {"revert_margin_ratio": 0.9}, {"revert_margin_absolute": 1},
        {"revert_to": "rollback"}, {"holdback_bp": 10_001}, {"scope_bp_max": -1},
        {"resource": ""}, {"zone": "Europe/Berln"}, {"zone": ""}, {"legacy_headroom_min": -0.5},
        {"quiet": "fri"}, {"bake_day": 7}, {"bake_days": 1e6}, {"cooldown_days": 1e6},
        {"drills_max_age_days": 1e6}, {"day_s": 1e6},
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(values: dict[str, Any]) -> None:
    """Types are strict and ranges are checked, so a slip never becomes a policy."""
    with pytest.raises(ValidationError):
        Policy.model_validate(values)


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=8, unique=True),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.none() | st.integers(0, 10_000),
)
def test_steps_never_pass_the_limit(
    ladder: list[int], cap: int, declared: int, own: int | None
) -> None:
    """They grow and never overshoot cap or holdback; the policy's own holdback goes first."""
    policy = Policy(ladder_bp=tuple(sorted(ladder)), scope_bp_max=cap, holdback_bp=own)
    steps = steps_bp(policy, declared)
    limit = min(cap, 10_000 - (declared if own is None else own))
    assert list(steps) == sorted(set(steps))
    assert all(0 < step <= limit for step in steps)
    assert policy.scope_limit_bp(declared) == limit
    assert all(step in steps for step in ladder if step <= limit)
    assert (steps == ()) is (limit == 0)


def test_a_sub_pipeline_differs_only_in_what_it_sets() -> None:
    """Everything else is the default's, also what the default itself has set."""
    policies = Policies(
        default=Policy(bake_days=3.0, budget_failed=20.0),
        sub_pipelines={"invoices": Policy(budget_failed=60.0, automatic=False)},
    )
    invoices = policies.of("invoices")
    assert (invoices.bake_days, invoices.budget_failed, invoices.automatic) == (3.0, 60.0, False)
    assert policies.of("orders") == policies.default
    assert Policies().of("anything") == Policy()


def test_a_value_equal_to_the_built_in_one_still_counts() -> None:
    """Setting 7 where the default says 3 means 7."""
    policies = Policies(
        default=Policy(bake_days=3.0), sub_pipelines={"invoices": Policy(bake_days=7.0)}
    )
    assert policies.of("invoices").bake_days == 7.0


def test_a_policy_survives_json() -> None:
    """A stored decision is replayed with the policy it was made under."""
    policy = Policy(
        zone="Australia/Lord_Howe",
        ladder_bp=(100, 400),
        freezes=(YEAR_END,),
        quiet=(Quiet(days=("sat", "sun")),),
    )
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert Policy.model_validate(json.loads(policy.model_dump_json())) == policy
    assert (
        Policies.model_validate_json(Policies(default=policy).model_dump_json()).of("x") == policy
    )


def test_cohorts_name_each_member_once() -> None:
    """And a sub-pipeline finds its cohort."""
    cohort = Cohort(name="small", members=("a", "b"))
    policies = Policies(cohorts=(cohort,))
    assert policies.cohort_of("b") == cohort
    assert policies.cohort_of("c") is None
    with pytest.raises(ValidationError, match="'a' is not"):
        Cohort(name="small", members=("a", "a"))
    with pytest.raises(ValidationError):
        Cohort(name="small", members=())
