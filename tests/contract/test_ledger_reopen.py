"""A failure that is retried by hand while the fold counts it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from rollout.jobs.claims import Claim
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import L, claim, commit, declared
from tests.contract.test_ledger_sweep import totals
from tests.waiting import wait_until


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_fold_and_retry_by_hand_count_a_job_once(ledger_case: LedgerCase) -> None:
    """Whichever comes first: the retry waits for the fold's row, and takes its count back."""
    ledger, other = ledger_case.sql, ledger_case.another()
    declared(ledger)
    ledger.file([filing(path=L)])
    ledger.fail(NAME, "job-1", None, None, "boom", NOW)
    let_go, folding = Event(), Event()

    def hold(connection: Connection) -> None:
        folding.set()
        assert let_go.wait(20)

    event.listen(other.database.engine, "commit", hold)  # type: ignore[attr-defined]  # it is SQL
    with ThreadPoolExecutor(2) as pool:
        fold = pool.submit(other.fold, 10)
        assert folding.wait(20)  # counted, and not committed yet
        reopen = pool.submit(ledger.reopen, NAME, "job-1", NOW)
        wait_until(lambda: _waits(ledger), "the retry waits for the row")
        let_go.set()
        assert (fold.result(20), reopen.result(20).job_id) == (1, "job-1")
    held = claim(ledger, delivered=L)
    assert isinstance(held, Claim)
    commit(ledger, held)
    while ledger.fold(10):
        pass
    assert totals(ledger) == {"committed": 1}
    other.close()


def _waits(ledger: Any) -> bool:
    with ledger.database.read() as connection:
        query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(connection.execute(query).scalar_one())
