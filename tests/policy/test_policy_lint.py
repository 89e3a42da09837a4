"""Lint of one policy: each rule finds what it is for, and the defaults are clean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.policy.lint.finding import Level, PolicyFinding, Subject
from rollout.policy.lint.rules import RULES, lint
from rollout.policy.policy import Policy
from rollout.routing.effects import Effects

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
ERROR, WARNING, ADVICE = Level.ERROR, Level.WARNING, Level.ADVICE


def found(values: dict[str, Any], **about: Any) -> dict[str, PolicyFinding]:
    """What lint finds in a policy with these values, by rule."""
    policy = Policy.model_validate(values)
    return {one.rule: one for one in lint(Subject(policy, **about), NOW)}


def frozen(begin: str, end: str) -> dict[str, Any]:
    """One freeze."""
    return {"freezes": [{"begin": f"{begin}T00:00:00", "end": f"{end}T00:00:00"}]}


def test_the_default_policy_is_clean() -> None:
    """Whoever writes nothing is told nothing."""
    assert lint(Subject(Policy()), NOW) == ()


ALL_DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CASES: list[tuple[dict[str, Any], Level, str, str]] = [
    ({"scope_bp_max": 0}, ERROR, "no_step", "scope_bp_max is 0 and the holdback keeps 500"),
    ({"holdback_bp": 10_000}, ERROR, "no_step", "the holdback keeps 10000 of 10000"),
    ({"ladder_bp": [3000, 6000, 9500], "holdback_bp": 1000}, WARNING, "above_holdback",
     "asks for 95 %, the holdback leaves 90 %: the steps really taken are 30 %, 60 %, 90 %"),
    ({"ladder_bp": [400, 800, 1600], "scope_bp_max": 1000}, WARNING, "above_cap",
     "asks for 16 %, scope_bp_max allows 10 %: the steps really taken are 4 %, 8 %, 10 %"),
    ({"scope_bp_max": 1000}, ADVICE, "never_graduates", "last step is 10 %; only at 95 %"),
    ({"ladder_bp": [100, 800, 1600]}, WARNING, "jump", "From 1 % to 8 % the scope grows 8-fold"),
    ({"ladder_bp": [100, 10_000], "holdback_bp": 0}, WARNING, "no_holdback", "At 100 % no job"),
    ({"bake_days": 0}, ERROR, "no_bake", "bake_days is 0"),
    ({"bake_days": 6.5}, WARNING, "short_bake", "6.5 days does not see every weekday"),
    ({"day_s": 5}, ADVICE, "rehearsal", "A policy day lasts 5 s"),
    ({"automatic": False}, ADVICE, "by_hand", "nothing advances and nothing reverts"),
    ({"quiet": [{"days": ALL_DAYS}]}, ERROR, "always_quiet", "leave 0 minutes of a week"),
    ({"quiet": [{"days": ALL_DAYS[:6]}, {"days": ["sun"], "begin": "00:10"}]}, WARNING,
     "always_quiet", "leave 10 minutes of a week"),
    (frozen("2026-01-01", "2036-01-01"), ERROR, "always_frozen", "no moment in the next 400 days"),
    (frozen("2026-12-20", "2028-01-04"), WARNING, "long_freeze", "lasts 380 days"),
    (frozen("2025-12-20", "2026-01-04"), ADVICE, "freeze_over", "is over"),
    ({"drills_min": 0}, WARNING, "no_drills", "RECOVERY IS NOT JUDGED"),
    ({"drills_min": 1}, ADVICE, "few_drills", "drills_min is 1: so few pairs never prove"),
    ({"drills_max_age_days": 6}, WARNING, "drills_expire", "counts for 6 days and a step lasts 7"),
    ({"alpha_error": 0.01}, WARNING, "false_reverts", "Up to 1.70% of healthy four-week pilots"),
    ({"revert_to": "previous_step", "cooldown_days": 0}, WARNING, "no_cooldown", "up and down"),
    ({"cooldown_days": 57}, WARNING, "long_cooldown", "the last look at a step is after 56 days"),
    ({"legacy_headroom_min": 0.5}, WARNING, "no_way_back", "would build up a backlog"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "level", "rule", "says"), CASES, ids=[f"{case[2]}-{case[1]}" for case in CASES]
)
def test_a_rule_finds_what_it_is_for(
    values: dict[str, Any], level: Level, rule: str, says: str
) -> None:
    """With its level, the numbers, and something to do."""
    finding = found(values)[rule]
    assert finding.level is level
    assert says in finding.sentence
    assert finding.todo


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"holdback_bp": 500}, "above_holdback"), ({"scope_bp_max": 9500}, "above_cap"),
        ({"ladder_bp": [100, 400, 1600, 6400, 9500]}, "jump"),
        ({"holdback_bp": 0}, "no_holdback"), ({"bake_days": 7}, "short_bake"),
        ({"quiet": [{"days": ALL_DAYS, "begin": "01:00"}]}, "always_quiet"),
        (frozen("2026-12-20", "2027-01-04"), "long_freeze"),
        (frozen("2026-11-20", "2026-11-25"), "freeze_over"),
        ({"drills_min": 5}, "few_drills"), ({"drills_max_age_days": 7}, "drills_expire"),
        ({"drills_min": 0, "drills_max_age_days": 1}, "drills_expire"),
        ({"cooldown_days": 0}, "no_cooldown"), ({"cooldown_days": 56}, "long_cooldown"),
    ],
)  # fmt: skip
def test_a_rule_is_silent_at_its_limit(values: dict[str, Any], rule: str) -> None:
    """What is just allowed is not complained about."""
    assert rule not in found(values)


@pytest.mark.parametrize("effects", Effects)
def test_shadow_pairs_need_effects_that_allow_them(effects: Effects) -> None:
    """A sub-pipeline that cannot be shadowed would wait for its first pair for ever."""
    finding = found({"shadow_pairs_min": 10}, effects=effects).get("no_shadow")
    assert (finding is None) is effects.shadowable
    assert "no_shadow" not in found({}, effects=effects)


def test_the_declared_holdback_counts_when_the_policy_names_none() -> None:
    """And the policy's own goes before it."""
    assert "above_holdback" in found({"ladder_bp": [4000, 9500]}, holdback_bp=1000)
    assert "above_holdback" not in found({"holdback_bp": 500}, holdback_bp=1000)


def test_a_freeze_that_is_over_by_local_time_only() -> None:
    """The zone counts: in New York the freeze still lasts at this time of UTC."""
    values = frozen("2026-11-01", "2026-11-24")
    assert "freeze_over" in found(values)
    assert "freeze_over" in found({**values, "zone": "America/New_York"})
    early = NOW - timedelta(hours=7)
    policy = Policy.model_validate({**values, "zone": "America/New_York"})
    assert "freeze_over" not in {one.rule for one in lint(Subject(policy), early)}


def test_the_worst_comes_first_and_names_whom_it_is_about() -> None:
    """Errors, warnings, advice."""
    policy = Policy(automatic=False, bake_days=0.0, legacy_headroom_min=0.5)
    findings = lint(Subject(policy, name="invoices"), NOW)
    assert [one.level for one in findings] == [ERROR, WARNING, ADVICE]
    assert {one.subject for one in findings} == {"invoices"}


def test_every_rule_is_in_the_table() -> None:
    """A rule that was written and forgotten would find nothing; each has its sentence."""
    from rollout.policy.lint import proof, steps, times, traffic

    written = {
        rule
        for module in (proof, steps, times, traffic)
        for name, rule in vars(module).items()
        if callable(rule)
        and getattr(rule, "__module__", "") == module.__name__
        and not name.startswith("_")
        and list(rule.__annotations__) == ["subject", "now", "return"]
    }
    assert written == set(RULES)
    assert all(rule.__doc__ for rule in RULES)
