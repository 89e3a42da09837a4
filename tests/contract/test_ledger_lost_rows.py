"""A row that has gone under a running attempt, numbers that come again, messages that outlive."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from rollout.adapters.memory.ledger import MemoryLedger
from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import UNCLAIMED, Claim, JobState, Refusal
from rollout.jobs.ports import Committed, Ledger
from rollout.routing.decision import Reason
from tests.builders import NAME, NOW, filing
from tests.contract.ledger_acts import L, claim, commit, declared, started


def lose(ledger: Ledger, job_id: str = "job-1") -> None:
    """Lose a row, as a failover to a copy that lags behind does."""
    if isinstance(ledger, MemoryLedger):
        ledger._rows.lose((NAME, job_id))
        return
    assert isinstance(ledger, SqlLedger)
    with ledger.database.write() as connection:
        connection.execute(text("DELETE FROM job WHERE job_id = :id"), {"id": job_id})


@pytest.fixture(autouse=True)
def _declared(ledger: Ledger) -> None:
    declared(ledger)


def test_a_row_that_has_gone_is_unfiled_to_everybody(ledger: Ledger) -> None:
    """Not stale: nobody else has the job, and whoever holds its message must file it."""
    held = started(ledger)
    lose(ledger)
    assert commit(ledger, held) is Refusal.UNFILED
    assert ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, None, NOW) is None
    assert ledger.fail(NAME, "job-1", 1, None, "boom", NOW) is None
    assert ledger.release(filing(), 1) is None


def test_a_number_that_comes_again_is_another_claim(ledger: Ledger) -> None:
    """Attempt 1 before a failover is not attempt 1 after it: the claims' nonces differ."""
    old = started(ledger)
    lose(ledger)
    new = started(ledger)
    assert (old.attempt, new.attempt) == (1, 1)
    assert commit(ledger, old) is Refusal.STALE
    assert ledger.fail(NAME, "job-1", 1, None, "boom", NOW, nonce=old.nonce) is False
    assert ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "x", NOW, nonce=old.nonce) is False
    assert commit(ledger, new) == Committed('"done"')
    assert commit(ledger, old) is Refusal.STALE  # and not told that it has committed
    assert commit(ledger, new) == Committed('"done"')


def test_pruning_leaves_a_mark(ledger: Ledger) -> None:
    """The newest limit that deleted something; one that deleted nothing leaves none."""
    minute = timedelta(minutes=1)
    assert ledger.pruned_before() is None
    ledger.prune(NOW + minute, 10)
    assert ledger.pruned_before() is None
    for number in (1, 3):
        commit(ledger, started(ledger, f"job-{number}"), now=NOW + number * minute)
    ledger.fold(10)
    assert ledger.prune(NOW + 2 * minute, 10) == 1
    assert ledger.pruned_before() == NOW + 2 * minute
    assert ledger.prune(NOW + minute, 10) == 0
    assert ledger.prune(NOW + 9 * minute, 10) == 1
    assert ledger.pruned_before() == NOW + 9 * minute


def test_a_row_of_an_older_release_has_no_nonce_and_commits(ledger: Ledger) -> None:
    """While both releases run, the number alone has to do for what the older one has claimed."""
    held = started(ledger, path=L)
    if isinstance(ledger, SqlLedger):
        with ledger.database.write() as connection:
            connection.execute(text("UPDATE job SET nonce = NULL"))
    assert commit(ledger, held) == Committed('"done"')
    assert ledger.job(NAME, "job-1").state is JobState.COMMITTED
    assert isinstance(claim(ledger, delivered=L), Claim) is False


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.EXPIRED])
def test_a_job_that_was_called_off_leaves_the_mark_too(ledger: Ledger, state: JobState) -> None:
    """Its message may come after it was pruned: filed anew it would run, though it was revoked."""
    ledger.file([filing()])
    ledger.call_off(NAME, "job-1", None, state, "its owner ended it", NOW)
    later = NOW + timedelta(minutes=1)
    assert ledger.prune(later, 10) == 1
    assert ledger.pruned_before() == later


def test_a_run_without_a_claim_is_retried_while_its_job_waits(ledger: Ledger) -> None:
    """It left the row accepted; once somebody has claimed the job there is nothing to retry."""
    ledger.file([filing(path=L)])
    again = filing(path=L, at=NOW + timedelta(minutes=1), not_before=NOW + timedelta(minutes=5))
    assert ledger.release(again, UNCLAIMED)
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.sent_at, job.not_before) == (
        JobState.ACCEPTED,
        again.at,
        again.not_before,
    )
    assert isinstance(claim(ledger, delivered=L), Claim)
    assert ledger.release(again, UNCLAIMED) is False
    assert ledger.job(NAME, "job-1").state is JobState.STARTED
