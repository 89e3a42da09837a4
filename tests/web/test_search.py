"""A job is found by what a person has of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from tests.builders import NAME
from tests.web.conftest import Office


def test_by_its_beginning(office: Office) -> None:
    """Four characters are enough, and each that begins so is shown."""
    office.failed("batch-17")
    office.failed("batch-18")
    page = office.client.get("/jobs?q=batc").text
    assert "batch-17" in page
    assert "batch-18" in page


def test_a_whole_id_reads_no_others(office: Office) -> None:
    """The beginning of an id reads every id on PostgreSQL; one that is found needs none of it."""
    office.failed("batch-17")
    asked: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *more: Any) -> None:
        if "LIKE" in statement:
            asked.append(statement)

    event.listen(office.world.runtime.database.engine, "before_cursor_execute", note)
    assert "batch-17" in office.client.get(f"/jobs?q=batch-17&name={NAME}").text
    assert asked == []
    assert "batch-17" in office.client.get("/jobs?q=batch").text
    assert len(asked) == 1


def test_failures_that_differ_by_an_id_are_one_group(office: Office) -> None:
    """Ids of drills have letters and digits; a word without a digit is no id."""
    for number, drill in enumerate(("b1e42b77ebd9", "0a3e5c88f0c1", "99f1aa02c3d4")):
        office.failed(f"f{number}", f"DrillError: drill {drill} broke this job on purpose: fail")
    office.failed("other", "ValueError: the deadbeef facade has no effaced door")
    page = office.client.get("/jobs?kind=failed").text
    assert "drill # broke this job" in page
    assert page.count("drill # broke this job on purpose: fail") == 1
    assert "the deadbeef facade has no effaced door" in page
