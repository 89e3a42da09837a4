"""What is open: the counts against the rows, and what they read."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from rollout.adapters.sql import open_rows
from rollout.adapters.sql.tables import job
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Ledger, Lost
from rollout.routing.decision import Reason
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import C, L, commit, declared, started

SECOND = timedelta(seconds=1)


def busy(ledger: Ledger) -> None:
    """Jobs of two names that wait, run, have moved, and are over."""
    for name in (NAME, "bills"):
        declared(ledger, name=name)
    for number in range(9):
        at = NOW + number * SECOND
        ledger.file([filing(f"waits-{number}", (L, C)[number % 2], at=at)])
        ledger.file([filing(f"bill-{number}", C, name="bills", at=at)])
    for number in range(4):
        held = started(ledger, f"runs-{number}")
        if number:
            commit(ledger, held)
    ledger.hand_over(NAME, "waits-1", None, Reason.KILLED, None, NOW + 60 * SECOND)


@on_databases
@pytest.mark.parametrize("long_from", [3, 1_000])
def test_counts_are_the_rows(
    ledger_case: LedgerCase, long_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a short ledger and in a long one, whose oldest are looked for among those sent first."""
    ledger = ledger_case.sql
    busy(ledger)
    monkeypatch.setattr(open_rows, "OLDEST_AMONG", long_from)
    open_states = [JobState.ACCEPTED, JobState.STARTED]
    with ledger.database.read() as connection:
        columns = (job.c.name, job.c.path, job.c.state, job.c.accepted_at)
        rows = connection.execute(select(*columns).where(job.c.state.in_(open_states))).all()
    counted = Counter(tuple(row[:3]) for row in rows)
    oldest = {group: min(row[3] for row in rows if tuple(row[:3]) == group) for group in counted}
    counts = ledger.open_counts()
    assert {(one.name, one.path, one.state): one.jobs for one in counts} == dict(counted)
    assert {(one.name, one.path, one.state): one.oldest for one in counts} == oldest


@pytest.mark.parametrize("ledger_case", ["sqlite"], indirect=True)
def test_a_long_count_reads_the_index_alone(ledger_case: LedgerCase) -> None:
    """A row has its message in it: a hundred thousand of them took a quarter of a second."""
    ledger = ledger_case.sql
    with ledger.database.read() as connection:
        counted = str(open_rows._COUNTED.compile(ledger.database.engine))
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {counted}")).all()
    assert [row[-1] for row in plan] == ["SCAN job USING COVERING INDEX job_open"]


def test_lost_jobs_are_counted_up_to_a_limit(ledger: Ledger) -> None:
    """One is enough to know that there are some."""
    busy(ledger)
    lost = Lost(NAME, L, NOW + timedelta(hours=1))
    assert [ledger.count_lost(lost, limit) for limit in (1, 2, 100)] == [1, 2, 6]
