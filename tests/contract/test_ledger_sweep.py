"""The controller's view of the ledger, on every adapter."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from rollout.errors import UnknownJob
from rollout.jobs.claims import Claim, JobState
from rollout.jobs.ports import Handed, Ledger, Lost
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing, running
from tests.contract.conftest import ClosingLedger, LedgerCase
from tests.contract.ledger_acts import LATER, C, L, claim, commit, declared, started

SOON = timedelta(seconds=1)


def ids(handed: list[Handed]) -> list[str]:
    """Job ids, sorted."""
    return sorted(job.job_id for job in handed)


@pytest.mark.parametrize("effects", Effects)
def test_a_recall_moves_what_may_move(ledger: Ledger, effects: Effects) -> None:
    """Waiting concurrent jobs always; started ones when asked and repeatable; legacy ones never."""
    declared(ledger, effects)
    ledger.file([filing("waiting", envelope="E"), filing("legacy", L)])
    started(ledger, "running", effects=effects)
    started(ledger, "legacy-running", L, effects)
    first = ledger.recall(NAME, running=False, reason=Reason.KILLED, now=NOW, limit=10)
    assert first == [Handed("waiting", NAME, "E", Reason.KILLED)]
    second = ledger.recall(NAME, running=True, reason=Reason.FENCED, now=NOW, limit=10)
    assert ids(second) == (["running"] if effects.repeatable else [])
    assert ledger.recall(NAME, running=True, reason=Reason.FENCED, now=NOW, limit=10) == []
    assert ledger.job(NAME, "legacy-running").state is JobState.STARTED
    assert ledger.job(NAME, "waiting").fallback_reason is None


def test_a_recall_is_bounded_and_takes_each_job_once(ledger: Ledger) -> None:
    """Two controllers at once share the jobs between them."""
    declared(ledger)
    ledger.file([filing(f"job-{number:03}") for number in range(60)])
    assert len(ledger.recall(NAME, running=False, reason=Reason.KILLED, now=NOW, limit=20)) == 20
    barrier = Barrier(3)

    def recall(number: int) -> list[str]:
        barrier.wait()
        got: list[str] = []
        while part := ledger.recall(NAME, running=True, reason=Reason.KILLED, now=NOW, limit=7):
            got += ids(part)
        return got

    with ThreadPoolExecutor(3) as pool:
        shares = list(pool.map(recall, range(3)))
    everything = [job_id for share in shares for job_id in share]
    assert len(everything) == len(set(everything)) == 40


def test_lost_messages_are_sent_again_oldest_first(ledger: Ledger) -> None:
    """Only accepted jobs whose message is old and due, and which can be sent at all."""
    declared(ledger)
    due = NOW + timedelta(hours=1)
    ledger.file([
        filing("second", at=NOW + SOON), filing("first", L, at=NOW), filing("fresh", at=LATER),
        filing("later", not_before=due), filing("in-process", envelope=""),
    ])  # fmt: skip
    started(ledger, "running")
    before = NOW + 2 * SOON
    assert ledger.count_lost(Lost(NAME, C, before)) == 1
    assert ids(ledger.resend_lost(Lost(NAME, L, before), LATER, 10)) == ["first"]
    spared = Lost(NAME, C, before, frozenset({"second"}))
    assert ids(ledger.resend_lost(spared, LATER, 10)) == []
    assert ids(ledger.resend_lost(Lost(NAME, C, before), LATER, 10)) == ["second"]
    assert ledger.count_lost(Lost(NAME, C, before)) == 0
    assert (ledger.job(NAME, "second").path, ledger.job(NAME, "second").sent_at) == (L, LATER)
    again = ledger.resend_lost(Lost(NAME, L, due + SOON), LATER, 10)
    assert ids(again) == ["first", "second"]
    assert ids(ledger.resend_lost(Lost(NAME, C, due + SOON), LATER, 10)) == ["fresh", "later"]


def test_times_in_the_future_are_dated_now(ledger: Ledger) -> None:
    """Of open jobs only, and only beyond what a small difference of clocks explains."""
    declared(ledger)
    ledger.file([filing("ahead", at=LATER + SOON), filing("fits", at=LATER)])
    for job_id in ("heard-ahead", "heard"):
        started(ledger, job_id)
    ledger.renew([running("heard-ahead")], LATER + SOON)
    done = started(ledger, "done", L)
    commit(ledger, done)
    ledger.file([filing("other", name="bills", at=LATER + SOON)])
    assert ledger.redate([NAME], SILENT_AFTER, SILENT_AFTER, NOW) == 2
    assert [ledger.job(NAME, one).sent_at for one in ("ahead", "fits")] == [NOW, LATER]
    assert [ledger.job(NAME, one).renewed_at for one in ("heard-ahead", "heard")] == [NOW, NOW]
    assert ledger.redate([NAME], SILENT_AFTER, SILENT_AFTER, NOW) == 0
    assert ledger.job("bills", "other").sent_at == LATER + SOON


def test_silent_workers_jobs_are_sent_again(ledger: Ledger) -> None:
    """A started job that was not renewed goes to legacy as a fallback with one death."""
    declared(ledger)
    for job_id in ("silent", "heard"):
        started(ledger, job_id)
    ledger.file([filing("waiting")])
    ledger.renew([running("heard")], LATER)
    assert ids(ledger.resend_silent(NAME, SILENT_AFTER - SOON, LATER, 10)) == ["silent"]
    job = ledger.job(NAME, "silent")
    assert (job.state, job.path, job.deaths) == (JobState.ACCEPTED, L, 1)
    assert job.fallback_reason is Reason.WORKER_LOST
    assert ledger.resend_silent(NAME, SILENT_AFTER - SOON, LATER, 10) == []


def test_a_job_that_kills_its_workers_is_kept(ledger: Ledger) -> None:
    """The second silent start is the last one."""
    declared(ledger)
    started(ledger)
    assert ids(ledger.resend_silent(NAME, -SOON, NOW, 10)) == ["job-1"]
    assert isinstance(claim(ledger, delivered=L), Claim)
    assert ledger.resend_silent(NAME, SILENT_AFTER - SOON, LATER, 10) == []
    job = ledger.job(NAME, "job-1")
    assert job.state is JobState.FAILED
    assert job.error == "2 workers died under this job"
    assert ledger.reopen(NAME, "job-1", LATER).job_id == "job-1"


def test_a_silent_unsafe_job_is_kept_and_never_repeated(ledger: Ledger) -> None:
    """Nobody knows how far it came, so a person looks first."""
    declared(ledger, Effects.UNSAFE)
    started(ledger, effects=Effects.UNSAFE)
    assert ledger.resend_silent(NAME, SILENT_AFTER - SOON, LATER, 10) == []
    job = ledger.job(NAME, "job-1")
    assert job.state is JobState.FAILED
    assert "look before you retry" in str(job.error)


def test_open_jobs_are_counted_by_path_and_state(ledger: Ledger) -> None:
    """With the oldest acceptance of each group; finished ones are not open."""
    declared(ledger)
    ledger.file([filing("a", at=NOW + SOON), filing("b", at=NOW), filing("c", L)])
    started(ledger, "d")
    commit(ledger, started(ledger, "e"))
    counts = {
        (count.path, count.state): (count.jobs, count.oldest) for count in ledger.open_counts()
    }
    assert counts == {
        (C, "accepted"): (2, NOW), (L, "accepted"): (1, NOW), (C, "started"): (1, NOW),
    }  # fmt: skip


def finish_some(ledger: Ledger, number: int) -> str:
    """Finish one job in one of five ways; the way depends on the number."""
    job_id = f"job-{number:03}"
    kind = number % 5
    ledger.file([filing(job_id, L if kind == 0 else C, at=NOW)])
    held = claim(ledger, job_id, L if kind == 0 else C)
    assert isinstance(held, Claim)
    if kind in (2, 3):
        ledger.hand_over(NAME, job_id, 1, Reason.FAILED, "boom", NOW)
        again = claim(ledger, job_id, L)
        assert isinstance(again, Claim)
        held = again
    if kind in (3, 4):
        ledger.fail(NAME, job_id, held.attempt, None, "boom", NOW)
        return "failed"
    commit(ledger, held, now=NOW + timedelta(seconds=number))
    return "committed"


def totals(ledger: Ledger) -> dict[str, int]:
    """Jobs by outcome, over all tallies."""
    sums: dict[str, int] = {}
    for tally in ledger.tallies()[0]:
        sums[tally.outcome] = sums.get(tally.outcome, 0) + tally.jobs
    return {outcome: jobs for outcome, jobs in sums.items() if jobs}


def test_every_finished_job_is_folded_exactly_once(ledger_case: LedgerCase) -> None:
    """Two folders at once, small batches: the tallies add up to what was finished."""
    ledger, other = ledger_case.ledger, ledger_case.another()
    declared(ledger)
    finished = [finish_some(ledger, number) for number in range(50)]
    expected = {outcome: finished.count(outcome) for outcome in ("committed", "failed")}
    assert totals(ledger) == expected  # what is not folded yet is counted in
    barrier = Barrier(2)

    def fold(client: Ledger) -> int:
        barrier.wait()
        total = 0
        while folded := client.fold(3):
            total += folded
        return total

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(fold, (ledger, other))) == 50
    while ledger.fold(100):
        pass
    assert totals(ledger) == expected
    outcomes, cycles = ledger.tallies()
    by_path = {(tally.assigned_path, tally.path): tally for tally in outcomes if tally.jobs == 10}
    assert by_path[(L, L)].reason is Reason.OUT_OF_SCOPE
    assert {tally.reason for tally in outcomes if tally.assigned_path is C} == {
        Reason.IN_SCOPE, Reason.FAILED,
    }  # fmt: skip
    assert sum(cycle.jobs for cycle in cycles) == expected["committed"]
    seconds = sum(number for number, outcome in enumerate(finished) if outcome == "committed")
    assert sum(cycle.sum_s for cycle in cycles) == pytest.approx(seconds)
    assert ledger.fold(10) == 0
    other.close()


@pytest.mark.parametrize("folded", [False, True])
def test_a_reopened_job_has_one_outcome_in_the_tallies(ledger: Ledger, folded: bool) -> None:
    """Failed, counted, retried by hand, committed: one job, committed."""
    declared(ledger)
    started(ledger)
    ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "boom", NOW)
    ledger.fail(NAME, "job-1", None, None, "boom", NOW)
    if folded:
        assert ledger.fold(10) == 1
    ledger.reopen(NAME, "job-1", NOW)
    assert totals(ledger) == {}
    again = claim(ledger, delivered=L)
    assert isinstance(again, Claim)
    commit(ledger, again)
    ledger.fold(10)
    assert totals(ledger) == {"committed": 1}


def test_the_ledger_balances(ledger: Ledger) -> None:
    """Submitted = open + committed + failed, whatever was folded."""
    declared(ledger)
    for number in range(15):
        finish_some(ledger, number)
    ledger.file([filing(f"open-{number}") for number in range(4)])
    ledger.fold(6)
    waiting = sum(count.jobs for count in ledger.open_counts())
    assert (waiting, sum(totals(ledger).values())) == (4, 15)


def test_all_of_it_belongs_to_one_sub_pipeline(ledger: Ledger) -> None:
    """Sweeping one leaves the others alone."""
    declared(ledger)
    declared(ledger, name="bills")
    ledger.file([filing("mine"), filing("theirs", name="bills")])
    assert ids(ledger.resend_lost(Lost(NAME, C, LATER), LATER, 10)) == ["mine"]
    assert ledger.job("bills", "theirs").path is JobPath.CONCURRENT


def test_only_old_counted_commits_are_pruned(ledger: Ledger) -> None:
    """Oldest first, so many at a time; what is not counted yet, open or failed stays."""
    declared(ledger)
    assert ledger.newest_commit() is None
    minute = timedelta(minutes=1)
    for number in (3, 1, 2):
        commit(ledger, started(ledger, f"done-{number}"), now=NOW + number * minute)
    started(ledger, "runs")
    assert ledger.newest_commit() == NOW + 3 * minute
    assert ledger.prune(NOW + 9 * minute, 10) == 0  # nothing is counted yet
    ledger.fold(10)
    assert ledger.prune(NOW + 2 * minute, 10) == 1
    with pytest.raises(UnknownJob):
        ledger.job(NAME, "done-1")
    assert ledger.prune(NOW + 9 * minute, 1) == 1
    with pytest.raises(UnknownJob):
        ledger.job(NAME, "done-2")
    assert ledger.job(NAME, "done-3").state is JobState.COMMITTED
    assert ledger.job(NAME, "runs").state is JobState.STARTED
    assert ledger.newest_commit() == NOW + 3 * minute


@pytest.mark.parametrize("folded", [False, True], ids=["counted", "folded"])
def test_a_fallback_that_a_drill_forced_is_a_drills(ledger: ClosingLedger, folded: bool) -> None:
    """Before it is folded and after: no fallback of the path's own, and a kept job stays kept."""
    declared(ledger)
    for job_id in ("own", "drilled", "kept"):
        held = started(ledger, job_id)
        if job_id != "own":
            assert ledger.mark_drilled(NAME, job_id, "d1", "raise", NOW)
        ledger.hand_over(NAME, job_id, held.attempt, Reason.FAILED, "ValueError: x", NOW)
    for job_id in ("own", "drilled"):
        taken = claim(ledger, job_id, L)
        assert isinstance(taken, Claim)
        commit(ledger, taken)
    ledger.fail(NAME, "kept", None, Reason.FAILED, "ValueError: y", LATER)
    if folded:
        assert ledger.fold(100) == 3
        assert ledger.fold(100) == 0
    outcomes, _ = ledger.tallies()
    assert {(one.outcome, one.reason): one.jobs for one in outcomes} == {
        ("committed", Reason.FAILED): 1,
        ("committed", Reason.DRILL): 1,
        ("failed", Reason.FAILED): 1,
    }
