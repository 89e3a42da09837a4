"""Checking policies with what the ledger knows."""

from datetime import UTC, datetime, timedelta

import pytest

from rollout.errors import LedgerUnreachable, UnknownSubPipeline
from rollout.policy.check import Assumed, Checked, Known, check_policies, names_of, read_known
from rollout.policy.lint.finding import Traffic
from rollout.policy.policy import Cohort, Policies, Policy
from rollout.policy.ports import Arrived
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
STATED = Policy(ladder_bp=(4000, 9500))
WEEK = timedelta(days=7)


def known(*names: str, holdback_bp: int = 500, arrived: Arrived | None = None) -> Known:
    """What a ledger with these sub-pipelines says."""
    states = {name: ControlState(name, holdback_bp=holdback_bp) for name in names}
    return Known(states, arrived={} if arrived is None else {arrived.name: arrived})


def check(
    policies: Policies, told: Known, name: str | None = None, assumed: Assumed | None = None
) -> Checked:
    """Check at a fixed time."""
    return check_policies(policies, told, name, assumed or Assumed(), NOW)


def rules(checked: Checked) -> list[tuple[str | None, str]]:
    """Whom each finding is about, and its rule."""
    return [(one.subject, one.rule) for one in checked.findings]


def test_what_is_true_of_the_default_is_said_once() -> None:
    """Those that inherit it are not named for it; those that differ are."""
    policies = Policies(
        default=Policy(drills_min=0), sub_pipelines={"orders": Policy(bake_days=0.0)}
    )
    assert rules(check(policies, known("invoices", "orders"))) == [
        ("orders", "no_bake"), (None, "no_drills")
    ]  # fmt: skip


def test_one_name_gets_everything_that_is_in_force_for_it() -> None:
    """What it inherits, too, and nothing about the others."""
    policies = Policies(
        default=Policy(drills_min=0),
        sub_pipelines={"orders": Policy(bake_days=0.0), "bils": Policy()},
    )
    told = known("invoices", "orders")
    assert rules(check(policies, told, "invoices")) == [("invoices", "no_drills")]
    assert ("bils", "unknown_name") in rules(check(policies, told))
    assert ("bils", "unknown_name") in rules(check(policies, told, "bils"))


def test_the_ledger_tells_holdback_and_effects() -> None:
    """What was declared in code bounds the ladder and the shadow."""
    told = known("invoices", holdback_bp=2000)
    assert ("invoices", "above_holdback") in rules(check(Policies(default=STATED), told))
    policies = Policies(default=Policy(shadow_pairs_min=5))
    unsafe = Known({"invoices": ControlState("invoices")}, {"invoices": Effects.UNSAFE})
    assert ("invoices", "no_shadow") in rules(check(policies, unsafe))


def test_traffic_is_scaled_to_a_week() -> None:
    """From the first finished job on; less than an hour counts as one, minutes as nothing."""
    half = Arrived("invoices", 500, 400, 4, NOW - WEEK / 2)
    told = known("invoices", arrived=half)
    assert told.traffic("invoices", NOW) == Traffic(1000, 0.01)
    burst = known("invoices", arrived=Arrived("invoices", 10, 10, 0, NOW - timedelta(minutes=11)))
    assert burst.traffic("invoices", NOW) == Traffic(10 * 168, 0.0)
    early = known("invoices", arrived=Arrived("invoices", 9, 9, 0, NOW - timedelta(seconds=40)))
    assert early.traffic("invoices", NOW) is None
    assert early.early("invoices", NOW) == timedelta(seconds=40)
    assert told.traffic("orders", NOW) is None
    no_legacy = known("invoices", arrived=Arrived("invoices", 10, 0, 0, NOW - WEEK))
    assert no_legacy.traffic("invoices", NOW) is None


def test_seen_traffic_sizes_the_steps() -> None:
    """A sub-pipeline with three jobs a week is told that it proves nothing."""
    told = known("invoices", "orders", arrived=Arrived("invoices", 3, 3, 0, NOW - WEEK))
    checked = check(Policies(), told)
    assert ("invoices", "nothing_proved") in rules(checked)
    assert "orders" not in checked.traffic


def test_stated_traffic_goes_first() -> None:
    """Each value alone, the other from the ledger; both without one; then the default is sized."""
    told = known("invoices", arrived=Arrived("invoices", 1000, 1000, 10, NOW - WEEK))
    assert check(Policies(), told, assumed=Assumed(jobs_per_week=5.0)).traffic == {
        "invoices": Traffic(5.0, 0.01)
    }
    assert check(Policies(), told, assumed=Assumed(error_rate=0.0)).traffic == {
        "invoices": Traffic(1000, 0.0)
    }
    jobs_alone = check(Policies(), known("invoices"), "invoices", Assumed(jobs_per_week=7e3))
    assert jobs_alone.traffic == {"invoices": Traffic(7e3, None)}, "nobody said how many fail"
    stated = Assumed(jobs_per_week=0.0, error_rate=0.0)
    assert stated.complete
    assert rules(check(Policies(), Known(), assumed=stated))[0] == (None, "nothing_proved")
    assert Assumed(error_rate=0.1).over(None) is None
    alone = check(Policies(), Known(), assumed=Assumed(jobs_per_week=3.0))
    assert rules(alone)[0] == (None, "nothing_proved"), "traffic alone is enough to size it"


def test_an_unknown_name_is_refused_when_the_ledger_could_tell() -> None:
    """Without a ledger any name gets the default's findings."""
    with pytest.raises(UnknownSubPipeline, match="did you mean 'invoices'"):
        check(Policies(), known("invoices"), "invoice")
    assert check(Policies(), Known(), "anything").findings == ()


def test_a_misspelt_table_is_found_from_the_name_it_was_meant_for() -> None:
    """Asked for one sub-pipeline, with its traffic stated or not, with a ledger or without."""
    policies = Policies(sub_pipelines={"invocies": Policy(bake_days=14.0)})
    stated = Assumed(jobs_per_week=7e3, error_rate=0.01)
    for told in (Known(), known("invoices")):
        for assumed in (Assumed(), Assumed(jobs_per_week=7e3), stated):
            checked = check(policies, told, "invoices", assumed)
            assert [one.sentence for one in checked.findings] == [
                "No table of rollout.toml is for 'invoices', and one is for 'invocies': nothing it"
                " says holds for 'invoices'."
            ]
    both = known("invoices", "invocies")
    assert check(policies, both, "invoices").findings == (), "each name is somebody's own"
    far = Policies(sub_pipelines={"orders": Policy(bake_days=14.0)})
    assert check(far, Known(), "invoices").findings == ()


def test_a_name_that_is_only_planned_is_sized_and_told_apart() -> None:
    """Its traffic is stated, so it is no mistake to ask; that nothing is declared is said."""
    stated = Assumed(jobs_per_week=7e3, error_rate=0.01)
    checked = check(Policies(), known("orders"), "invoices", stated)
    assert rules(checked) == [("invoices", "unknown_name")]
    assert checked.traffic == {"invoices": Traffic(7e3, 0.01)}


def test_names_come_from_tables_cohorts_and_the_ledger() -> None:
    """Each once, in that order."""
    policies = Policies(
        sub_pipelines={"b": Policy()}, cohorts=(Cohort(name="c", members=("a", "b")),)
    )
    assert names_of(policies, known("a", "z")) == ["b", "a", "z"]


class Away:
    """A ledger that does not answer."""

    def controls(self) -> list[ControlState]:
        """Answer nothing."""
        raise LedgerUnreachable("sqlite:///gone", OSError("gone"))

    def arrivals(self, since: datetime, name: str | None = None) -> list[Arrived]:
        """Answer nothing."""
        raise LedgerUnreachable("sqlite:///gone", OSError("gone"))

    def declared_effects(self) -> dict[str, Effects]:
        """Answer nothing."""
        raise LedgerUnreachable("sqlite:///gone", OSError("gone"))


def test_a_ledger_that_is_away_is_said_and_does_not_end_the_check() -> None:
    """A policy is checked where it is written, with or without a database."""
    told = read_known(Away(), NOW)
    assert told.states is None
    assert "sqlite:///gone" in str(told.unanswered)
    assert rules(check(Policies(default=Policy(bake_days=0.0)), told)) == [(None, "no_bake")]
