"""Who may say that a started job's worker lives, by which clock, and what goes by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import Claim, Refusal
from rollout.jobs.ports import Ledger
from rollout.routing.decision import Reason
from tests.builders import NAME, NOW, SILENT_AFTER, filing, running
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import LATER, C, L, claim, declared, refusal_of, started


@pytest.fixture
def by_its_clock(ledger_case: LedgerCase) -> Iterator[SqlLedger]:
    """The same database, silence measured by its own clock."""
    url = ledger_case.sql.database.engine.url.render_as_string(hide_password=False)
    ledger = SqlLedger(Database(url))
    declared(ledger)
    yield ledger
    ledger.close()


def test_only_the_worker_that_has_the_job_renews_it(ledger: Ledger) -> None:
    """A hung child that a kill has taken the job from keeps no dead attempt alive."""
    declared(ledger)
    started(ledger)
    ledger.hand_over(NAME, "job-1", 1, Reason.FENCED, None, NOW)
    assert isinstance(claim(ledger, delivered=L, worker="w2"), Claim)
    ledger.renew([running("job-1", "w1", C)], LATER)
    ledger.renew([running("job-1", "w2", C), running("job-1", "w1", L)], LATER)
    assert ledger.job(NAME, "job-1").renewed_at == NOW
    ledger.renew([running("job-1", "w2", L)], LATER)
    assert ledger.job(NAME, "job-1").renewed_at == LATER


def test_a_renewal_never_goes_backwards(ledger: Ledger) -> None:
    """What a late or wrong clock says does not make a healthy worker look dead."""
    declared(ledger)
    started(ledger)
    ledger.renew([running()], LATER)
    ledger.renew([running()], LATER - timedelta(minutes=5))
    assert ledger.job(NAME, "job-1").renewed_at == LATER


@on_databases
@pytest.mark.parametrize("wrong", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_a_workers_wrong_clock_says_nothing_of_its_health(
    by_its_clock: SqlLedger, wrong: timedelta
) -> None:
    """Claimed and renewed by a clock five minutes behind or ahead: heard of now, and not later."""
    ledger, now = by_its_clock, datetime.now(UTC)
    ledger.file([filing()])
    got = claim(ledger, now=now + wrong)
    assert isinstance(got, Claim)
    assert ledger.resend_silent(NAME, SILENT_AFTER, now, 10) == []
    assert refusal_of(claim(ledger, delivered=L, now=now - wrong)) is Refusal.BUSY
    ledger.renew([running()], now + wrong)
    heard = ledger.job(NAME, "job-1").renewed_at
    assert heard is not None
    assert abs(heard - datetime.now(UTC)) < timedelta(seconds=20)
    assert ledger.redate([NAME], SILENT_AFTER, SILENT_AFTER, now - timedelta(hours=1)) == 0
    assert ledger.job(NAME, "job-1").renewed_at == heard
    handed = ledger.resend_silent(NAME, timedelta(seconds=-1), now, 10)
    assert [job.job_id for job in handed] == ["job-1"]


@on_databases
def test_the_two_databases_tell_the_time(by_its_clock: SqlLedger) -> None:
    """The clock in SQL is this machine's, to a few milliseconds."""
    ledger = by_its_clock
    ledger.file([filing()])
    before = datetime.now(UTC)
    claim(ledger)
    heard = ledger.job(NAME, "job-1").renewed_at
    assert heard is not None
    slack = timedelta(milliseconds=5)
    assert before - slack <= heard <= datetime.now(UTC) + slack


def test_a_worker_renews_all_that_its_thousand_threads_run(ledger: Ledger) -> None:
    """Two names of each start are told; the last of them is renewed as the first is."""
    declared(ledger)
    jobs = [f"job-{number}" for number in range(600)]
    for job_id in (jobs[0], jobs[-1]):
        started(ledger, job_id)
    told = [running(job_id, worker) for job_id in jobs for worker in ("w1", "w2")]
    ledger.renew(told, LATER)
    assert [ledger.job(NAME, one).renewed_at for one in (jobs[0], jobs[-1])] == [LATER, LATER]
