"""What is only looked at reads no history: the newest and the few, by indexes.

Of SQLite alone: its planner goes by the statement and not by how many rows there are, so that a
small ledger tells. Of PostgreSQL `ops/bench/web.py` measures a long one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from rollout.adapters.sql.ledger import SqlLedger
from rollout.errors import UnknownJob
from rollout.jobs.recent import JobKind
from tests.builders import NAME, NOW
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import declared


def _listed(
    name: str | None, kind: JobKind, since: datetime | None = None
) -> Callable[[SqlLedger], Any]:
    return lambda ledger: ledger.recent_jobs(name, kind, since, 100)


LOOKS: dict[str, Callable[[SqlLedger], Any]] = {
    **{f"{kind} of all": _listed(None, kind) for kind in JobKind},
    **{f"{kind} of one": _listed(NAME, kind) for kind in JobKind},
    **{f"{kind} of one since": _listed(NAME, kind, NOW) for kind in JobKind},
    "lately": lambda one: one.recent_counts(NOW - timedelta(minutes=5)),
    "kept": lambda one: one.kept_counts(),
    "by the beginning of an id": lambda one: one.ids_like("job-12", 30),
    "by id": lambda one: one.jobs_of("job-1"),
    "curves": lambda one: one.paced_jobs(NAME, None, 5000),
}  # fmt: skip


@pytest.fixture
def statements(ledger_case: LedgerCase) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database."""
    asked: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, values: Any, ctx: Any, many: Any) -> None:
        asked.append((statement, values))

    engine = ledger_case.sql.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("ledger_case", ["sqlite"], indirect=True)
@pytest.mark.parametrize("look", LOOKS)
def test_no_look_reads_all_jobs(
    ledger_case: LedgerCase, statements: list[tuple[str, Any]], look: str
) -> None:
    """No plan scans the table, or an index that every job is in."""
    ledger = ledger_case.sql
    declared(ledger)
    del statements[:]
    try:
        LOOKS[look](ledger)
    except UnknownJob:  # it was looked for all the same
        assert look == "by id"
    looked = [
        one for one in statements if re.search(r"\bFROM (job|sub_pipeline JOIN job)\b", one[0])
    ]
    assert looked
    with ledger.database.read() as connection:
        for statement, values in looked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            for line in (str(row[-1]) for row in plan):
                whole = re.search(r"SCAN job\b(?!.*\b(job_(open|failed|fell_back)\w*))", line)
                assert not whole, f"{look}: {line}\n{statement}"
                admitted = " of one" in look and "job_admitted" in line
                assert not admitted, f"{look} reads all that it ever admitted: {line}"
