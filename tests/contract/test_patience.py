"""A read for somebody who looks ends at the database when its time is over."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from rollout.adapters.sql.patience import reads_within
from rollout.errors import LedgerSlow, LedgerUnreachable
from tests.builders import NAME
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import declared

LONG = text(
    "WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted "
    "WHERE i < 100000000) SELECT max(i) FROM counted"
)


@on_databases
def test_a_long_read_ends_in_time_and_the_next_one_is_whole(ledger_case: LedgerCase) -> None:
    """Ended at the server, as a ledger that answers; its connection serves what comes after."""
    ledger = ledger_case.sql
    declared(ledger)
    began = time.monotonic()
    with (
        reads_within(0.3),
        pytest.raises(LedgerSlow) as slow,
        ledger.database.read() as connection,
    ):
        connection.execute(LONG)
    assert time.monotonic() - began < 5
    assert isinstance(slow.value, LedgerUnreachable)
    assert "takes longer" in slow.value.problem
    for _ in range(3):
        assert ledger.control(NAME).name == NAME
    with ledger.database.read() as connection:
        bounded = connection.execute(
            text("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300000) "
                 "SELECT max(i) FROM c")
        ).scalar_one()  # fmt: skip
    assert bounded == 300_000


@on_databases
def test_the_bound_is_of_all_reads_together(ledger_case: LedgerCase) -> None:
    """Once the time is over no further read begins; a bound inside cannot lengthen it."""
    ledger = ledger_case.sql
    declared(ledger)
    with reads_within(0.2):
        with pytest.raises(LedgerSlow), ledger.database.read() as connection:
            connection.execute(LONG)
        with reads_within(10), pytest.raises(LedgerSlow):
            ledger.control(NAME)
    assert ledger.control(NAME).name == NAME


@on_databases
def test_only_reading_counts(ledger_case: LedgerCase) -> None:
    """What is computed between two reads is no fault of the ledger."""
    ledger = ledger_case.sql
    declared(ledger)
    with reads_within(1.0):
        ledger.control(NAME)
        time.sleep(1.1)
        assert ledger.control(NAME).name == NAME
