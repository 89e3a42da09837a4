"""The declared differences and the table of docs/adopting.md are the same list."""

import re
from pathlib import Path

from tests.celery_conformance.cases import CASES
from tests.celery_conformance.differences import ATTRIBUTES, DIFFERENCES, SHOWN_ELSEWHERE
from tests.celery_conformance.examples import PAGE

TESTS = Path(__file__).parents[1]


def documented() -> list[str]:
    """First cells of the table."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.split("## What differs, and why")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [row.removeprefix("| ").split(" | ")[0] for row in rows[1:]]


def test_every_difference_is_told_and_nothing_else_is() -> None:
    """A difference that goes, comes or is worded anew changes both."""
    rows = documented()
    declared = {*ATTRIBUTES.values(), *(one.row for one in DIFFERENCES), *SHOWN_ELSEWHERE}
    assert len(rows) == len(set(rows))
    assert set(rows) == declared


def test_what_is_shown_elsewhere_is_shown() -> None:
    """Each other row names a case, a test or a rule of comparison that exists."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    for row, shown_by in SHOWN_ELSEWHERE.items():
        assert shown_by in CASES or re.search(rf"^def {shown_by}\(", code, re.MULTILINE), row
