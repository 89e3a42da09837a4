"""What is wrong between sub-pipelines: names, cohorts, shared resources, limits."""

from rollout.policy.lint.finding import Level, PolicyFinding
from rollout.policy.lint.fleet import lint_fleet
from rollout.policy.policy import Cohort, Fleet, Policies, Policy


def found(policies: Policies, *known: str) -> dict[str, PolicyFinding]:
    """What lint finds, by rule."""
    return {one.rule: one for one in lint_fleet(policies, known)}


def test_nothing_said_nothing_found() -> None:
    """Defaults are clean, with and without a ledger."""
    assert lint_fleet(Policies()) == lint_fleet(Policies(), ["invoices"]) == ()


def test_a_name_that_nothing_is_declared_under() -> None:
    """A typo in a table's head would leave the default in force."""
    policies = Policies(sub_pipelines={"invoice": Policy()})
    finding = found(policies, "invoices", "orders")["unknown_name"]
    assert (finding.level, finding.subject) == (Level.WARNING, "invoice")
    assert "named 'invoice', did you mean 'invoices'?" in finding.sentence
    in_cohort = Policies(cohorts=(Cohort(name="small", members=("zebra",)),))
    assert found(in_cohort, "invoices")["unknown_name"].sentence.endswith("'zebra'.")
    assert lint_fleet(policies, None) == ()
    assert "unknown_name" not in found(policies, "invoice")


def test_a_member_of_two_cohorts() -> None:
    """Only one of them could let it enter."""
    cohorts = (Cohort(name="one", members=("a", "b")), Cohort(name="two", members=("b",)))
    finding = found(Policies(cohorts=cohorts), "a", "b")["two_cohorts"]
    assert (finding.level, finding.subject) == (Level.ERROR, "b")
    assert "one and two" in finding.sentence


def test_a_resource_that_nobody_else_names() -> None:
    """A typo would let two change at once what they share."""
    policies = Policies(
        sub_pipelines={
            "a": Policy(resource="postgres"),
            "b": Policy(resource="postgres"),
            "c": Policy(resource="postgre"),
        }
    )
    finding = found(policies, "a", "b", "c")["resource_alone"]
    assert (finding.level, finding.subject) == (Level.ADVICE, "c")
    assert "did you mean 'postgres'?" in finding.sentence
    shared = Policies(default=Policy(resource="db"))
    assert "resource_alone" not in found(shared, "a")


def test_a_cohort_on_one_resource_cannot_double() -> None:
    """One change at a time is no doubling."""
    cohort = Cohort(name="small", members=("a", "b"))
    policies = Policies(default=Policy(resource="db"), cohorts=(cohort,))
    finding = found(policies, "a", "b")["cohort_shares"]
    assert finding.level is Level.WARNING
    assert "a, b of cohort 'small' share the resource 'db'" in finding.sentence
    for apart in (
        {"a": Policy(resource="x")},
        {"a": Policy(resource="x"), "b": Policy(resource="y")},
    ):
        alone = Policies(cohorts=(cohort,), sub_pipelines=apart)
        assert "cohort_shares" not in found(alone, "a", "b")


def test_a_cohort_larger_than_the_fleet_allows() -> None:
    """Its members wait for each other."""
    cohort = Cohort(name="small", members=("a", "b", "c"))
    tight = Policies(cohorts=(cohort,), fleet=Fleet(splits_max=2))
    assert (
        "has 3 members and splits_max lets 2"
        in found(tight, "a", "b", "c")["cohort_waits"].sentence
    )
    wide = Policies(cohorts=(cohort,), fleet=Fleet(splits_max=3))
    assert found(wide, "a", "b", "c") == {}
