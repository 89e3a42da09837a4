"""One id in two sub-pipelines is two jobs, on every ledger."""

import pytest

from rollout.errors import UnknownJob
from rollout.jobs.claims import Claim, JobState
from rollout.jobs.ports import Committed, Ledger, Lost
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME, NOW, filing, running
from tests.contract.ledger_acts import LATER, C, L, claim, commit, declared

OTHER = "bills"


@pytest.fixture(autouse=True)
def _declared(ledger: Ledger) -> None:
    declared(ledger)
    declared(ledger, name=OTHER)
    ledger.file([filing(), filing(path=L, name=OTHER)])


def test_both_are_filed_claimed_and_committed(ledger: Ledger) -> None:
    """Each has its own path, attempt and result; filed again, the finished one is told."""
    for name, path in ((NAME, C), (OTHER, L)):
        held = claim(ledger, delivered=path, name=name)
        assert isinstance(held, Claim)
        assert (held.name, held.path, held.attempt) == (name, path, 1)
        assert commit(ledger, held, f'"{name}"') == Committed(f'"{name}"')
        assert ledger.file([filing(name=name)]) == {(name, "job-1")}
    assert [record.name for record in ledger.jobs_of("job-1")] == [OTHER, NAME]
    assert [record.result for record in ledger.jobs_of("job-1")] == ['"bills"', '"invoices"']
    with pytest.raises(UnknownJob):
        ledger.jobs_of("nobody")


def test_filing_tells_of_finished_jobs_only(ledger: Ledger) -> None:
    """Alone and in a batch; one that is open is left as it is without a word."""
    ledger.fail(OTHER, "job-1", None, None, "boom", NOW)
    batch = [filing(), filing("new"), filing(name=OTHER)]
    assert ledger.file(batch) == {(OTHER, "job-1")}
    assert ledger.file([filing("new")]) == frozenset()
    assert ledger.job(NAME, "new").state is JobState.ACCEPTED


def test_moves_and_failures_of_one_leave_the_other(ledger: Ledger) -> None:
    """Handed over, failed, renewed, released, reopened, marked: by sub-pipeline and id."""
    other = ledger.job(OTHER, "job-1")
    assert ledger.hand_over(NAME, "job-1", None, Reason.KILLED, None, NOW)
    held = claim(ledger, delivered=L)
    assert isinstance(held, Claim)
    ledger.renew([running("job-1", path=L)], LATER)
    assert ledger.release(filing(path=L), 1)
    assert isinstance(claim(ledger, delivered=L), Claim)
    assert ledger.fail(NAME, "job-1", 2, None, "boom", NOW)
    assert ledger.job(OTHER, "job-1") == other
    ledger.fold(10)
    assert ledger.reopen(NAME, "job-1", NOW).name == NAME
    assert ledger.job(OTHER, "job-1") == other


def test_sweeps_and_pruning_keep_them_apart(ledger: Ledger) -> None:
    """Lost, silent, recalled, folded and pruned, one at a time."""
    assert len(ledger.resend_lost(Lost(OTHER, L, LATER), LATER, 10)) == 1
    assert ledger.job(NAME, "job-1").path is JobPath.CONCURRENT
    assert len(ledger.recall(NAME, running=False, reason=Reason.KILLED, now=NOW, limit=9)) == 1
    done = claim(ledger, delivered=L, name=OTHER)
    assert isinstance(done, Claim)
    commit(ledger, done)
    assert ledger.fold(10) == 1
    assert ledger.prune(LATER, 10) == 1
    assert [record.name for record in ledger.jobs_of("job-1")] == [NAME]
