"""The short table of `docs/architecture.md`: what is a list of something stands in one place."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from rollout.drills.fault import Fault
from rollout.pilot.step import REVERT_TESTS, guard_of
from rollout.policy.policy import Policy
from rollout.routing.decision import Reason
from rollout.routing.effects import Effects
from tests.docs.tables import ARCHITECTURE, ROOT

TESTS = [type(kind.fresh(guard_of(Policy()))).__name__ for kind in REVERT_TESTS]


def files_of(row: str) -> set[str]:
    """The modules that a row of the table names."""
    lines = ARCHITECTURE.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {row}"))
    return set(re.findall(r"`(rollout/[\w/]+\.py)`", line))


def members_in(module: Path, kind: str) -> set[str]:
    """Members of an enumeration that a module names."""
    return set(re.findall(rf"\b{kind}\.([A-Z_]+)\b", module.read_text()))


def others(row: str) -> Collection[Path]:
    """The modules of the package that the table does not name in this row."""
    named = files_of(row)
    modules = (ROOT / "rollout").rglob("*.py")
    return [one for one in modules if str(one.relative_to(ROOT)) not in named]


@pytest.mark.parametrize(
    ("row", "kind", "most"),
    [
        # The demo gives most faults arguments of its own; one that needs none is not named there.
        ("a fault that drills can plant", Fault, len(Fault) - 3),
        ("a reason for a path", Reason, len(Reason) // 2),
        ("a kind of effects", Effects, 1),
    ],
)
def test_no_other_module_lists_them(
    row: str, kind: type[Fault | Reason | Effects], most: int
) -> None:
    """Whoever adds a member finds no second list of them: what they mean is a property."""
    lists = {
        str(one.relative_to(ROOT)): len(members_in(one, kind.__name__))
        for one in others(row)
        if len(members_in(one, kind.__name__)) > most
    }
    assert lists == {}


def test_no_other_module_lists_the_revert_tests() -> None:
    """Who adds one finds no other place where the tests stand beside each other."""
    lists = [
        str(one.relative_to(ROOT))
        for one in others("a revert test on counts")
        if one.parent.name != "evidence"  # where they are, and where their room is described
        and len(set(re.findall(r"\w+", one.read_text())) & set(TESTS)) > 1
    ]
    assert lists == []


@pytest.mark.parametrize(
    ("row", "most"),
    [
        ("a fault that drills can plant", 2),
        ("a reason for a path", 1),
        ("a revert test on counts", 3),  # and the module of the test itself
        ("a column of `rollout status`", 2),
    ],
)
def test_a_change_touches_few_files(row: str, most: int) -> None:
    """As the issue that made the rooms asked it."""
    assert 1 <= len(files_of(row)) <= most
