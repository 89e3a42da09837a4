"""Policies from rollout.toml: what is read, and what each wrong line is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout.errors import WrongSettings
from rollout.policies import (
    WrongPolicy,
    parse_policies,
    read_policies,
)
from rollout.policy.policy import Policies, Policy, blocked_by
from rollout.policy.tables import source_of
from rollout.settings import read_policy_tables, read_settings
from rollout.wiring import Runtime

COMPLETE = """
tick_s = 2

[policy]
bake_days = 14
zone = "Europe/Berlin"
holdback_bp = 1000

[[policy.freezes]]
begin = 2026-12-20T00:00:00
end = 2027-01-04T00:00:00
why = "year end"

[[policy.quiet]]
days = ["fri"]
begin = 12:00:00

[[policy.quiet]]
days = ["sat", "sun"]

[policy.sub_pipeline.invoices]
ladder_bp = [400, 1600, 6400, 9000]
revert_to = "previous_step"

[policy.sub_pipeline."eu.orders"]
automatic = false

[fleet]
splits_max = 3

[cohort.small]
members = ["invoices", "eu.orders"]
period_days = 14
"""


@pytest.fixture(autouse=True)
def folder(no_settings: Path) -> Path:
    """An empty folder and no variables."""
    return no_settings


def write(text: str) -> None:
    """Write rollout.toml."""
    Path("rollout.toml").write_text(text, encoding="utf-8")


def wrong_lines(text: str) -> list[str]:
    """Every wrong line, as people read it."""
    write(text)
    return [str(error) for error in parse_policies(read_policy_tables())[1]]


def test_without_a_file_the_defaults_are_in_force() -> None:
    """Also with a file that holds settings only."""
    assert read_policies() == Policies()
    write("tick_s = 2\n")
    assert read_policies() == Policies()


def test_everything_is_read() -> None:
    """Default, what single ones differ by, fleet and cohorts; settings are read beside them."""
    write(COMPLETE)
    policies = read_policies()
    assert policies.default.bake_days == 14
    assert [str(quiet) for quiet in policies.default.quiet] == [
        "fri 12:00-24:00", "sat, sun 00:00-24:00"
    ]  # fmt: skip
    invoices = policies.of("invoices")
    assert invoices.ladder_bp == (400, 1600, 6400, 9000)
    assert (invoices.revert_to, invoices.bake_days, invoices.automatic) == (
        "previous_step", 14, True
    )  # fmt: skip
    assert policies.of("eu.orders").automatic is False
    assert policies.fleet.splits_max == 3
    (cohort,) = policies.cohorts
    assert (cohort.name, cohort.members, cohort.period_days) == (
        "small", ("invoices", "eu.orders"), 14
    )  # fmt: skip
    christmas = datetime(2026, 12, 25, 9, tzinfo=UTC)
    assert blocked_by(invoices, christmas) == (
        "frozen until 2027-01-04 00:00 Europe/Berlin: year end"
    )
    assert read_settings().tick_s == 2


def test_the_runtime_has_them() -> None:
    """The controller asks the runtime; what is wrong raises there."""
    write(COMPLETE)
    assert Runtime(read_settings()).policies.of("invoices").revert_to == "previous_step"
    write("[policy]\nbake_day = 7\n")
    with pytest.raises(WrongPolicy):
        _ = Runtime(read_settings()).policies


def test_where_a_value_comes_from() -> None:
    """The narrowest table that sets it."""
    write(COMPLETE)
    policies = read_policies()
    assert source_of(policies, "invoices", "ladder_bp") == "[policy.sub_pipeline.invoices]"
    assert source_of(policies, "invoices", "bake_days") == "[policy]"
    assert source_of(policies, "invoices", "jobs_min") == "default"
    assert source_of(policies, "unknown", "bake_days") == "[policy]"
    assert source_of(policies, None, "ladder_bp") == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policy]\nbake_day = 7",
         "rollout.toml [policy] has no key 'bake_day', did you mean 'bake_days'?;"
         " `rollout policy show` lists all"),
        ("[policy.sub_pipeline.invoices]\nladder = [100]",
         "rollout.toml [policy.sub_pipeline.invoices] has no key 'ladder',"
         " did you mean 'ladder_bp'?; `rollout policy show` lists all"),
        ("[policy.invoices]\nbake_days = 7",
         "rollout.toml [policy] has no key 'invoices', did you mean"
         " [policy.sub_pipeline.invoices]?; `rollout policy show` lists all"),
        ("[policy.sub_pipelines.invoices]\nbake_days = 7",
         "rollout.toml [policy] has no key 'sub_pipelines', did you mean 'sub_pipeline'?;"
         " `rollout policy show` lists all"),
        ("[policy]\nbake_days = '7'",
         "rollout.toml [policy] bake_days must be a valid number, got '7';"
         " it says: Least days at a step; it is looked at then and each half later. The default is"
         " 7.0."),
        ("[policy]\nbake_days = true",
         "rollout.toml [policy] bake_days must be a valid number, got True;"
         " it says: Least days at a step; it is looked at then and each half later. The default is"
         " 7.0."),
        ("[policy]\njobs_min = -1",
         "rollout.toml [policy] jobs_min must be greater than or equal to 0, got -1;"
         " it says: Concurrent jobs a step must have seen. The default is 0."),
        ("[policy]\nday_s = nan",
         "rollout.toml [policy] day_s must be a finite number, got nan; it says: Seconds a policy"
         " day lasts; a smaller one compresses a rehearsal. The default is 86400.0."),
        ("[policy]\nladder_bp = [200, 100]",
         "rollout.toml [policy] ladder_bp: each step must be larger than the one before, 100 is"
         " not, got [200, 100]; it says: Scopes of the steps in basis points, growing; without it"
         " by the traffic."),
        ("[policy]\nladder_bp = [100, 'all']",
         "rollout.toml [policy] ladder_bp[1] must be a valid integer, got 'all'; it says: Scopes of"
         " the steps in basis points, growing; without it by the traffic."),
        ("[policy]\nzone = 'Europe/Berln'",
         "rollout.toml [policy] zone: no time zone 'Europe/Berln', did you mean 'Europe/Berlin'?;"
         " it says: IANA time zone of the calendars. The default is 'UTC'."),
        ("[policy]\nrevert_to = 'previous'",
         "rollout.toml [policy] revert_to must be 'legacy' or 'previous_step', got 'previous',"
         " did you mean 'previous_step'?; it says: Where a revert goes; `legacy` stays until a"
         " person starts again. The default is 'legacy'."),
        ("[[policy.quiet]]\ndays = ['friday']",
         "rollout.toml [policy] quiet[0].days[0] must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'"
         " or 'sun', got 'friday', did you mean 'fri'?; it says: Days it comes on: mon, tue .."
         " sun."),
        ("[[policy.quiet]]\nday = ['fri']\ndays = ['fri']",
         "rollout.toml [policy] quiet[0] has no key 'day', did you mean 'days'?; it has days,"
         " begin, end"),
        ("[[policy.freezes]]\nbegin = 2026-12-20T00:00:00",
         "rollout.toml [policy] freezes[0].end is missing; it says: First local time that is free"
         " again."),
        ("[[policy.freezes]]\nbegin = 2026-12-20\nend = 2026-12-21T00:00:00",
         "rollout.toml [policy] freezes[0].begin: a local time is needed, not only a day:"
         " 2026-12-20T00:00:00; it says: First local time that is frozen, without an offset."),
        ("[[policy.freezes]]\nbegin = 2026-12-20T00:00:00Z\nend = 2026-12-21T00:00:00",
         "rollout.toml [policy] freezes[0]: begin is local time of the policy's zone and has no"
         " offset; leave it out, got begin = 2026-12-20T00:00:00+00:00, end ="
         " 2026-12-21T00:00:00;"),
        ("[policy]\nbudget_failed = -1",
         "rollout.toml [policy] budget_failed must be greater than 0, got -1; it says: Extra"
         " failed jobs a week that the pilot may cost; without it by its traffic."),
        ("[fleet]\nsplits_max = 0",
         "rollout.toml [fleet] splits_max must be greater than or equal to 1, got 0; it says:"
         " Sub-pipelines in a pilot at once."),
        ("[fleet]\nsplit_max = 2",
         "rollout.toml [fleet] has no key 'split_max', did you mean 'splits_max'?; it has"
         " splits_max, advances_per_day_max"),
        ("[cohort.small]\nmembers = []",
         "rollout.toml [cohort.small] members must be a list of at least one, got []; it says:"
         " Sub-pipelines in the order in which they enter."),
        ("[cohort.small]\nmember = ['a']\nmembers = ['a']",
         "rollout.toml [cohort.small] has no key 'member', did you mean 'members'?; it has"
         " members, period_days"),
        ("[cohort.small]\nname = 'x'\nmembers = ['a']",
         "rollout.toml [cohort.small] has no key 'name'; it has members, period_days"),
        ("[cohort]\nmembers = ['a']",
         "rollout.toml [cohort.members] must be a table, got ['a']; write [policy],"
         " [policy.sub_pipeline.NAME], [fleet] or [cohort.NAME]"),
        ("policy = 3",
         "rollout.toml [policy] must be a table, got 3; write [policy],"
         " [policy.sub_pipeline.NAME], [fleet] or [cohort.NAME]"),
        ("[policy]\nsub_pipeline = 'invoices'",
         "rollout.toml [policy.sub_pipeline] must be a table, got 'invoices'; write [policy],"
         " [policy.sub_pipeline.NAME], [fleet] or [cohort.NAME]"),
    ],
)  # fmt: skip
def test_a_wrong_line_says_where_what_and_what_to_do(text: str, said: str) -> None:
    """File, table, key, what came, which word may have been meant, what the key is for."""
    assert any(line.startswith(said) for line in wrong_lines(text)), wrong_lines(text)


def test_every_wrong_line_is_collected_and_the_first_is_raised() -> None:
    """A check lists all; a program that cannot go on names one and how many there are."""
    text = "[policy]\nbake_day = 7\njobs_min = -1\n[fleet]\nsplits_max = -1\n"
    lines = wrong_lines(text)
    assert len(lines) == 3
    with pytest.raises(WrongPolicy) as caught:
        read_policies()
    assert caught.value.problem in lines[0]
    assert caught.value.hint.endswith("`rollout policy check` lists 2 more")


def test_a_wrong_table_never_becomes_a_policy() -> None:
    """What is returned beside errors is the default, not half of a table."""
    write("[policy]\nautomatic = false\njobs_min = -1\n")
    policies, wrong = parse_policies(read_policy_tables())
    assert wrong
    assert policies.default == Policy()


def test_a_table_that_is_neither_setting_nor_policy(folder: Path) -> None:
    """A typo in a table's head is refused where the settings are read, with a guess."""
    write("[polcy]\nbake_days = 7\n")
    with pytest.raises(WrongSettings, match=r"'polcy' \(in rollout.toml\), did you mean 'policy'"):
        read_settings()


@pytest.mark.parametrize("table", ["policy", "fleet", "cohort"])
def test_policies_come_from_the_file_only(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable cannot hold a table, so one that is named so is refused as unknown."""
    monkeypatch.setenv(f"ROLLOUT_{table.upper()}", "{}")
    with pytest.raises(WrongSettings, match=f"no setting named '{table}'"):
        read_settings()


def test_a_file_that_is_not_toml_is_refused() -> None:
    """The message names the file."""
    write("[policy\n")
    with pytest.raises(WrongSettings, match=r"rollout.toml must be TOML"):
        read_policies()
