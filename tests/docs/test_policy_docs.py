"""`docs/policy.md` says what the models, the calendars and the lint say."""

import re
import tomllib
from datetime import UTC, datetime

from rollout.policies import parse_policies
from rollout.policy.calendars import instants, zone_named
from rollout.policy.lint.finding import Subject
from rollout.policy.lint.fleet import lint_fleet
from rollout.policy.lint.rules import lint
from tests.docs.policy_tables import POLICY, TABLES, rules_in_code
from tests.docs.tables import filled

TEXT = POLICY.read_text()


def test_tables_are_those_of_the_models() -> None:
    """Every table is what `python -m tests.docs.policy_tables` would write."""
    assert filled(TEXT, TABLES) == TEXT, "run: python -m tests.docs.policy_tables"


def test_the_example_is_read_and_is_clean() -> None:
    """Whoever copies it gets a policy, and nothing to mend."""
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    policies, wrong = parse_policies(tomllib.loads(example))
    assert wrong == []
    assert policies.of("invoices").budget_failed == 30
    now = datetime(2026, 11, 24, tzinfo=UTC)
    names = ["invoices", "reminders", "newsletters"]
    assert [lint(Subject(policies.of(name)), now) for name in names] == [(), (), ()]
    assert lint_fleet(policies, names) == ()


def test_every_rule_has_its_line() -> None:
    """The table names the rules of the code, and no other."""
    section = TEXT[TEXT.index("## What `rollout policy check` finds") : TEXT.index("### Traffic")]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    named = {name for line in lines for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named - {"wrong_line", "jump", "rehearsal"} == rules_in_code()


def test_the_clock_changes_are_told_right() -> None:
    """The table of local times that do not exist or come twice."""
    rows = re.findall(r"\| `(begin|end) = ([\dT:-]+)` \| (\w+) \| (\d\d:\d\d),", TEXT)
    assert len(rows) == 4
    for which, local, _, shown in rows:
        both = instants(datetime.fromisoformat(local), zone_named("Europe/Berlin"))
        assert f"{(min if which == 'begin' else max)(both):%H:%M}" == shown
