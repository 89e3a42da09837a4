"""`docs/decisions/`: short records in one form, and no reference into the void."""

import re
from pathlib import Path

import pytest

from tests.docs.tables import ROOT

RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LINES_MAX = 45


def test_records_are_numbered_without_gaps() -> None:
    """The numbers run from 0001; none is used twice."""
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_records_have_one_form(record: Path) -> None:
    """Number and title, context, decision, consequences, in that order, on about one page."""
    lines = record.read_text().splitlines()
    assert lines[0].startswith(f"# {record.name[:4]} ")
    heads = [line for line in lines if line.startswith("## ")]
    assert heads == ["## Context", "## Decision", "## Consequences"]
    assert len(lines) <= LINES_MAX


def test_decisions_that_the_code_names_exist() -> None:
    """A decision that a comment or another page refers to is there."""
    known = {path.name[:4] for path in RECORDS}
    pages = [*(ROOT / "rollout").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        named = re.findall(r"decisions?[ /](\d{4})\b|\((\d{4})\)", page.read_text())
        for number in {one or other for one, other in named}:
            assert number in known, f"{number} in {page}"
