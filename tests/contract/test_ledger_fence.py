"""Promise 3 in the ledger: what a kill acknowledges is true, whatever is under way."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Barrier, Event

import pytest
from sqlalchemy import text

from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import Claim, JobState, Refusal
from rollout.jobs.ports import Committed, ConnectionSource, Ledger
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing, kill_of
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import (
    L,
    claim,
    commit,
    declared,
    make_written,
    refusal_of,
    started,
    write_line,
    written,
)
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _declared(ledger: Ledger) -> None:
    declared(ledger)
    make_written(ledger)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that are all joined in the end."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


class Hook:
    """A commit hook that stops in the middle until it is let go."""

    def __init__(self, *, writes_first: bool) -> None:
        self.writes_first = writes_first
        self.inside, self.let_go = Event(), Event()

    def __call__(self, connect: ConnectionSource) -> str:
        """Write, and wait in the middle."""
        if self.writes_first:
            write_line(connect, "hook")
        self.inside.set()
        assert self.let_go.wait(20), "nobody let the hook go"
        if not self.writes_first:
            write_line(connect, "hook")
        return '"hook"'


def begin(
    pool: ThreadPoolExecutor, ledger: Ledger, held: Claim, hook: Hook, effects: Effects
) -> "Future[Committed | Refusal]":
    """Start a commit and wait until its hook is in the middle."""
    running = pool.submit(ledger.commit, held, effects, hook, NOW)
    assert hook.inside.wait(10)
    return running


@pytest.mark.parametrize("writes_first", [False, True])
@pytest.mark.parametrize("name", [NAME, None])
def test_a_kill_fences_a_commit_whose_hook_is_running(
    ledger_case: LedgerCase, pool: ThreadPoolExecutor, writes_first: bool, name: str | None
) -> None:
    """The kill returns while the hook runs; the commit is refused and its writes are gone.

    On SQLite a hook that has written holds the single writer: there the kill waits for it.
    """
    ledger = ledger_case.ledger
    hook = Hook(writes_first=writes_first)
    running = begin(pool, ledger, started(ledger), hook, Effects.COMMIT)
    killing = pool.submit(ledger.kill, kill_of(name))
    if writes_first and ledger_case.own.kill_waits_for_hook:
        with pytest.raises(NotYet):
            killing.result(0.1)
        hook.let_go.set()
        assert running.result(10) == Committed('"hook"')
        killing.result(10)
        assert written(ledger) == ["hook"]
        return
    killing.result(10)
    assert not running.done()
    hook.let_go.set()
    assert running.result(10) is Refusal.KILLED
    assert written(ledger) == []
    assert ledger.job(NAME, "job-1").state is JobState.STARTED


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_kill_waits_for_a_commit_in_its_last_act(
    ledger_case: LedgerCase, pool: ThreadPoolExecutor
) -> None:
    """Past the fence and before COMMIT, the commit comes first: the kill returns after it."""
    ledger, other = ledger_case.sql, ledger_case.another()
    assert isinstance(other, SqlLedger)
    watching = other.database
    held = started(ledger)

    def locks(granted: bool) -> int:
        with watching.read() as connection:
            query = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = :granted"
            )
            return int(connection.execute(query, {"granted": granted}).scalar_one())

    with ledger.database.engine.connect() as outsider:  # holds the job's row
        outsider.execute(text("SELECT 1 FROM job WHERE job_id = 'job-1' FOR UPDATE"))
        running = pool.submit(commit, ledger, held)
        wait_until(lambda: locks(granted=True) == 1, "the commit has the fence")
        killing = pool.submit(ledger.kill, kill_of())
        wait_until(lambda: locks(granted=False) == 1, "the kill waits for the fence")
        assert not killing.done()
        outsider.rollback()
    assert running.result(10) == Committed('"done"')
    assert killing.result(10)[0].killed
    other.close()


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_claim_in_flight_comes_before_the_kill_or_is_refused(
    ledger_case: LedgerCase, pool: ThreadPoolExecutor
) -> None:
    """A claim that waits behind a kill sees it; no claim succeeds after the kill returned."""
    ledger = ledger_case.sql
    ledger.file([filing()])
    with ledger.database.engine.connect() as outsider:  # keeps the kill from committing
        outsider.execute(text("SELECT 1 FROM sub_pipeline FOR UPDATE"))
        killing = pool.submit(ledger.kill, kill_of())
        with ledger.database.read() as watching:
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            wait_until(lambda: watching.execute(held).scalar_one() == 1, "the kill has the fence")
        claiming = pool.submit(claim, ledger)
        with pytest.raises(NotYet):
            claiming.result(0.1)
        outsider.rollback()
    killing.result(10)
    assert refusal_of(claiming.result(10)) is Refusal.KILLED


@pytest.mark.parametrize("kill_all", [False, True])
def test_nothing_concurrent_counts_after_a_kill_returned(
    ledger_case: LedgerCase, pool: ThreadPoolExecutor, kill_all: bool
) -> None:
    """Six workers claim and commit as fast as they can; after the kill not one gets through."""
    ledger = ledger_case.ledger
    jobs = [f"job-{number}" for number in range(120)]
    ledger.file([filing(job_id) for job_id in jobs])
    barrier, killed = Barrier(7), Event()
    late: list[str] = []

    def work(number: int) -> int:
        barrier.wait()
        done = 0
        for job_id in jobs[number::6]:
            after = killed.is_set()
            held = claim(ledger, job_id)
            if isinstance(held, Claim):
                after_claim = killed.is_set()
                counted = isinstance(commit(ledger, held), Committed)
                done += counted
                if after or (after_claim and counted):
                    late.append(job_id)
        return done

    working = [pool.submit(work, number) for number in range(6)]
    barrier.wait()
    wait_until(lambda: _committed(ledger) > 0, "a job is committed")
    ledger.kill(kill_of(None if kill_all else NAME))
    killed.set()
    committed = sum(one.result(20) for one in working)
    assert late == []
    assert 0 < committed <= 120
    states = [ledger.job(NAME, job_id).state for job_id in jobs]
    assert states.count(JobState.COMMITTED) == committed


def _committed(ledger: Ledger) -> int:
    return sum(tally.jobs for tally in ledger.tallies()[0] if tally.outcome == "committed")


def test_a_rearm_does_not_let_an_old_attempt_through(ledger: Ledger) -> None:
    """What was claimed before a kill can never commit, also after the latch was lifted."""
    old = started(ledger)
    ledger.kill(kill_of())
    ledger.rearm(NAME, "ada", "fixed", NOW)
    assert commit(ledger, old) is Refusal.KILLED
    new = started(ledger, "job-2")
    assert commit(ledger, new) == Committed('"done"')


def test_a_kill_of_another_sub_pipeline_fences_nothing_here(ledger: Ledger) -> None:
    """The fence is one per sub-pipeline."""
    declared(ledger, name="bills")
    held = started(ledger)
    ledger.kill(kill_of("bills"))
    assert commit(ledger, held) == Committed('"done"')


@pytest.mark.parametrize("path", JobPath)
def test_legacy_and_unsafe_work_may_finish_after_a_kill(ledger: Ledger, path: JobPath) -> None:
    """A kill is about the concurrent path, and half an unsafe effect cannot be taken back."""
    effects = Effects.UNSAFE if path is JobPath.CONCURRENT else Effects.COMMIT
    held = started(ledger, path=path, effects=effects)
    ledger.kill(kill_of())
    assert commit(ledger, held, effects=effects) == Committed('"done"')


def test_killed_jobs_run_on_legacy(ledger: Ledger) -> None:
    """The refused attempt's job is legacy's to take."""
    held = started(ledger)
    ledger.kill(kill_of())
    assert commit(ledger, held) is Refusal.KILLED
    (handed,) = ledger.recall(NAME, running=True, reason=Reason.FENCED, now=NOW, limit=10)
    assert handed.job_id == "job-1"
    taken = claim(ledger, delivered=L)
    assert isinstance(taken, Claim)
    assert commit(ledger, held) is Refusal.STALE
    assert commit(ledger, taken) == Committed('"done"')
