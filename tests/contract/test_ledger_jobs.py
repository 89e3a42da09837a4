"""One job's way through every ledger."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from rollout.errors import IllegalTransition, UnknownJob
from rollout.jobs.claims import Claim, JobState, Refusal
from rollout.jobs.ports import Committed, ConnectionSource, Ledger, Refused
from rollout.jobs.way import read_way
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of, running
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import (
    LATER,
    C,
    L,
    claim,
    commit,
    declared,
    make_written,
    refusal_of,
    started,
    value,
    write_line,
    written,
)


@pytest.fixture(autouse=True)
def _declared(ledger: Ledger) -> None:
    declared(ledger)


def test_a_filed_job_is_read_back(ledger: Ledger) -> None:
    """What was filed, and the beginning of its way."""
    due = NOW + timedelta(hours=1)
    ledger.file([filing(not_before=due)])
    job = ledger.job(NAME, "job-1")
    assert (job.name, job.key, job.state, job.attempt) == (NAME, "7", JobState.ACCEPTED, 0)
    assert (job.assigned_path, job.path, job.reason) == (C, C, Reason.IN_SCOPE)
    assert (job.accepted_at, job.sent_at, job.not_before) == (NOW, NOW, due)
    assert [line["what"] for line in read_way(job.way)] == ["accepted"]


def test_filing_twice_leaves_the_first(ledger: Ledger) -> None:
    """A job id is filed once, alone or in the middle of a batch."""
    ledger.file([filing("a", C)])
    claim(ledger, "a")
    ledger.file([filing("b", L), filing("a", L), filing("c", L)])
    assert (ledger.job(NAME, "a").path, ledger.job(NAME, "a").state) == (C, JobState.STARTED)
    assert {ledger.job(NAME, job_id).path for job_id in "bc"} == {L}


def test_an_unknown_job_is_an_error(ledger: Ledger) -> None:
    """Reading and reopening say so."""
    with pytest.raises(UnknownJob):
        ledger.job(NAME, "nobody")
    with pytest.raises(UnknownJob):
        ledger.reopen(NAME, "nobody", NOW)


def test_claims_count_up_and_remember_who_and_when(ledger: Ledger) -> None:
    """Each granted claim has the next number."""
    held = started(ledger)
    assert replace(held, nonce=None) == Claim("job-1", NAME, C, 1, 0, fell_back=False)
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.worker, job.started_at) == (JobState.STARTED, "w1", NOW)
    second = claim(ledger, delivered=L, worker="w2", now=LATER)
    assert isinstance(second, Claim)
    assert (second.attempt, second.path) == (2, L)
    assert (ledger.job(NAME, "job-1").deaths, ledger.job(NAME, "job-1").worker) == (1, "w2")


def test_claims_are_refused_for_each_reason(ledger: Ledger) -> None:
    """The ledger passes on what `jobs/claims` judges, with the row it judged."""
    assert claim(ledger, "nobody") == Refused(Refusal.UNFILED, None)
    started(ledger)
    assert refusal_of(claim(ledger, worker="w2")) is Refusal.BUSY
    assert refusal_of(claim(ledger, now=LATER)) is Refusal.WORKER_LOST
    assert refusal_of(claim(ledger, effects=Effects.UNSAFE, now=LATER)) is Refusal.UNSAFE_REPEAT
    assert ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "boom", NOW)
    assert refusal_of(claim(ledger)) is Refusal.MOVED
    second = claim(ledger, delivered=L)
    assert isinstance(second, Claim)
    assert second.fell_back
    third = claim(ledger, delivered=L, now=LATER)
    assert isinstance(third, Claim)
    poison = claim(ledger, delivered=L, now=LATER + SILENT_AFTER)
    assert isinstance(poison, Refused)
    assert poison.refusal is Refusal.POISON
    assert poison.record is not None
    assert poison.record.deaths == 1
    assert isinstance(commit(ledger, third), Committed)
    assert refusal_of(claim(ledger, delivered=L)) is Refusal.FINISHED
    ledger.file([filing("job-2")])
    ledger.kill(kill_of())
    assert refusal_of(claim(ledger, "job-2")) is Refusal.KILLED
    assert ledger.job(NAME, "job-2").attempt == 0


def test_one_of_many_deliveries_gets_the_claim(ledger: Ledger) -> None:
    """A message that was delivered eight times at once starts once."""
    ledger.file([filing()])
    barrier = Barrier(8)

    def deliver(number: int) -> Claim | Refused:
        barrier.wait()
        return claim(ledger, worker=f"w{number}")

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(deliver, range(8)))
    assert sorted(str(refusal_of(one)) for one in got) == ["None", *["busy"] * 7]
    assert ledger.job(NAME, "job-1").attempt == 1


def test_a_commit_makes_the_outcome(ledger: Ledger) -> None:
    """State, result, time and way are written; the way tells every step."""
    held = started(ledger)
    done = commit(ledger, held, '{"rows": 3}', now=NOW + timedelta(seconds=2))
    assert done == Committed('{"rows": 3}')
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.result) == (JobState.COMMITTED, '{"rows": 3}')
    assert job.finished_at == NOW + timedelta(seconds=2)
    assert [line["what"] for line in read_way(job.way)] == ["accepted", "started", "committed"]


def test_a_stale_attempt_is_refused_and_its_writes_are_gone(ledger: Ledger) -> None:
    """A worker that was thought dead comes back after legacy took the job, and after it ended."""
    make_written(ledger)

    def write(connect: ConnectionSource) -> str:
        write_line(connect, "stale")
        return "1"

    old = started(ledger)
    new = claim(ledger, delivered=L, now=LATER)
    assert isinstance(new, Claim)
    assert ledger.commit(old, Effects.COMMIT, write, LATER) is Refusal.STALE
    assert commit(ledger, new, "2") == Committed("2")
    assert ledger.commit(old, Effects.COMMIT, write, LATER) is Refusal.STALE
    assert written(ledger) == []
    assert ledger.job(NAME, "job-1").result == "2"


def test_an_attempt_whose_job_was_moved_is_stale(ledger: Ledger) -> None:
    """Handed over, released, failed: the number alone is not enough."""
    held = started(ledger)
    ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, None, NOW)
    assert commit(ledger, held) is Refusal.STALE
    held = started(ledger, "job-2")
    ledger.release(filing("job-2"), 1)
    assert commit(ledger, held) is Refusal.STALE
    held = started(ledger, "job-3")
    ledger.fail(NAME, "job-3", 1, None, "boom", NOW)
    assert commit(ledger, held) is Refusal.STALE
    assert commit(ledger, replace(held, job_id="nobody")) is Refusal.UNFILED


def test_hook_and_row_commit_together_and_once(ledger: Ledger) -> None:
    """A second try after a lost answer reports the first result and writes nothing."""
    make_written(ledger)
    calls = []

    def write(connect: ConnectionSource) -> str:
        calls.append(1)
        write_line(connect, f"call {len(calls)}")
        return str(len(calls))

    held = started(ledger)
    assert ledger.commit(held, Effects.COMMIT, write, NOW) == Committed("1")
    assert ledger.commit(held, Effects.COMMIT, write, NOW) == Committed("1")
    assert written(ledger) == ["call 1"]
    assert len(calls) == 2


class Defect(Exception):
    """What a user's hook may raise."""


@pytest.mark.parametrize("error", [Defect("no"), KeyError("x"), SystemExit(3), ValueError("\x00")])
def test_a_hook_that_raises_takes_its_writes_back(ledger: Ledger, error: BaseException) -> None:
    """The very exception is passed on, nothing is written, and the attempt still holds the job."""
    make_written(ledger)

    def write(connect: ConnectionSource) -> str:
        write_line(connect, "half")
        raise error

    held = started(ledger)
    with pytest.raises(type(error)) as caught:
        ledger.commit(held, Effects.COMMIT, write, NOW)
    assert caught.value is error
    assert written(ledger) == []
    assert ledger.job(NAME, "job-1").state is JobState.STARTED
    assert commit(ledger, held) == Committed('"done"')


@on_databases
@pytest.mark.parametrize(
    "statement", ["INSERT INTO nowhere VALUES (1)", "SELEC 1", "INSERT INTO written VALUES (NULL)"]
)
def test_a_wrong_statement_in_a_hook_is_the_hooks_error(
    ledger_case: LedgerCase, statement: str
) -> None:
    """A mistake in the user's SQL is not taken for a ledger that is away."""
    ledger = ledger_case.sql
    with ledger.database.write() as connection:
        connection.execute(text("CREATE TABLE written (line TEXT NOT NULL)"))

    def write(connect: ConnectionSource) -> str:
        connect().execute(text(statement))
        return "1"

    held = started(ledger)
    with pytest.raises(Exception, match=r"nowhere|SELEC|written") as caught:
        ledger.commit(held, Effects.COMMIT, write, NOW)
    assert type(caught.value).__module__.startswith("sqlalchemy")


def test_one_of_many_movers_hands_a_job_over(ledger: Ledger) -> None:
    """Worker, sweeper and kill may all try: one is told to send it."""
    held = started(ledger)
    barrier = Barrier(8)

    def move(number: int) -> bool | None:
        barrier.wait()
        return ledger.hand_over(NAME, "job-1", held.attempt, Reason.FAILED, f"e{number}", NOW)

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(move, range(8)))
    assert sorted(map(str, got)) == [*["False"] * 7, "True"]
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.path, job.assigned_path) == (JobState.ACCEPTED, L, C)
    assert [line["what"] for line in read_way(job.way)].count("handed to legacy") == 1


def test_a_waiting_job_is_handed_over_by_one_mover(ledger: Ledger) -> None:
    """Without an attempt only a job that waits on the concurrent path moves, once."""
    ledger.file([filing()])
    assert ledger.hand_over(NAME, "job-1", None, Reason.KILLED, None, NOW) is True
    assert ledger.hand_over(NAME, "job-1", None, Reason.KILLED, None, NOW) is False
    assert ledger.hand_over(NAME, "nobody", None, Reason.KILLED, None, NOW) is None
    assert ledger.job(NAME, "job-1").fallback_reason is None
    started(ledger, "job-2")
    assert ledger.hand_over(NAME, "job-2", None, Reason.KILLED, None, NOW) is False
    assert ledger.hand_over(NAME, "job-2", 7, Reason.FAILED, None, NOW) is False


@pytest.mark.parametrize(
    ("reason", "counted", "deaths"),
    [
        (Reason.FAILED, Reason.FAILED, 0),
        (Reason.TIME_LIMIT, Reason.TIME_LIMIT, 0),
        (Reason.WORKER_LOST, Reason.WORKER_LOST, 1),
        (Reason.FENCED, None, 0),
    ],
)
def test_a_fallback_is_counted_against_the_path_that_failed(
    ledger: Ledger, reason: Reason, counted: Reason | None, deaths: int
) -> None:
    """Failures of the concurrent path count, a kill does not; a dead worker is a death."""
    held = started(ledger)
    ledger.hand_over(NAME, "job-1", held.attempt, reason, "boom", NOW)
    job = ledger.job(NAME, "job-1")
    assert (job.fallback_reason, job.deaths, job.error) == (counted, deaths, "boom")


def test_a_silent_concurrent_start_that_legacy_takes_is_a_fallback(ledger: Ledger) -> None:
    """A lost worker found by the next delivery counts like one found by the sweeper."""
    started(ledger)
    taken = claim(ledger, delivered=L, now=LATER)
    assert isinstance(taken, Claim)
    assert taken.fell_back
    assert ledger.job(NAME, "job-1").fallback_reason is Reason.WORKER_LOST
    assert isinstance(commit(ledger, taken), Committed)


@pytest.mark.parametrize("effects", [Effects.COMMIT, Effects.UNSAFE])
def test_a_job_that_comes_to_legacy_unrecorded_says_why(ledger: Ledger, effects: Effects) -> None:
    """The ledger refused its claim on the concurrent path; a reason that is there stays."""
    ledger.file([filing("job-1"), filing("job-2"), filing("job-3", L)])
    assert ledger.hand_over(NAME, "job-2", None, Reason.KILLED, None, NOW)
    for job_id in ("job-1", "job-2", "job-3"):
        assert isinstance(claim(ledger, job_id, L, effects), Claim)
    said = [ledger.job(NAME, one).moved_reason for one in ("job-1", "job-2", "job-3")]
    assert said == [Reason.LEDGER_UNREACHABLE, Reason.KILLED, None]
    assert ledger.job(NAME, "job-1").fallback_reason is None


def test_a_silent_legacy_start_is_no_fallback(ledger: Ledger) -> None:
    """Legacy workers that die do not count against the concurrent path."""
    started(ledger, path=L)
    taken = claim(ledger, delivered=L, now=LATER)
    assert isinstance(taken, Claim)
    assert not taken.fell_back
    assert ledger.job(NAME, "job-1").fallback_reason is None


def test_failing_on_both_paths_keeps_both_errors(ledger: Ledger) -> None:
    """The kept job says what each path said."""
    started(ledger)
    ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "concurrent broke", NOW)
    claim(ledger, delivered=L)
    assert ledger.fail(NAME, "job-1", 2, None, "legacy broke", NOW)
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.finished_at) == (JobState.FAILED, NOW)
    assert job.error == "concurrent broke\nlegacy broke"
    assert [kept.job_id for kept in ledger.failed(NAME, 10)] == ["job-1"]
    assert ledger.failed("other", 10) == []
    assert len(ledger.failed(None, 10)) == 1


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.EXPIRED])
@pytest.mark.parametrize("attempts", [0, 1])
def test_what_its_owner_called_off_is_an_outcome_of_its_own(
    ledger: Ledger, state: JobState, attempts: int
) -> None:
    """It is counted once, is no kept failure, and is pruned like a committed job."""
    ledger.file([filing()])
    for _ in range(attempts):
        claim(ledger)
    assert not ledger.call_off(NAME, "job-1", attempts + 1, state, "it was revoked", LATER)
    assert ledger.call_off(NAME, "job-1", attempts, state, "it was revoked", LATER)
    assert not ledger.call_off(NAME, "job-1", None, state, "it was revoked", LATER)
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.error, job.finished_at) == (state, "it was revoked", LATER)
    assert ledger.failed(None, 10) == []
    assert ledger.fold(10) == 0
    (tally,) = ledger.tallies()[0]
    assert (tally.outcome, tally.assigned_path, tally.jobs) == (state, C, 1)
    assert refusal_of(claim(ledger)) is Refusal.FINISHED
    assert ledger.prune(LATER, 10) == 0
    assert ledger.prune(LATER + timedelta(seconds=1), 10) == 1
    with pytest.raises(UnknownJob):
        ledger.job(NAME, "job-1")


def test_only_the_attempt_that_holds_a_job_can_fail_it(ledger: Ledger) -> None:
    """A stale failure changes nothing, and an outcome stands."""
    held = started(ledger)
    assert not ledger.fail(NAME, "job-1", 9, None, "stale", NOW)
    commit(ledger, held)
    assert not ledger.fail(NAME, "job-1", 1, None, "late", NOW)
    assert not ledger.fail(NAME, "job-1", None, None, "late", NOW)
    assert not ledger.fail(NAME, "nobody", None, None, "late", NOW)
    assert ledger.job(NAME, "job-1").state is JobState.COMMITTED
    ledger.file([filing("job-2")])
    assert ledger.fail(NAME, "job-2", None, None, "given up", NOW)


def test_a_kept_job_can_be_reopened_once(ledger: Ledger) -> None:
    """It goes to legacy with a clean count of deaths, and is refused while unfinished."""
    ledger.file([filing(envelope="E")])
    with pytest.raises(IllegalTransition, match="only a failed job"):
        ledger.reopen(NAME, "job-1", NOW)
    ledger.fail(NAME, "job-1", None, None, "boom", NOW)
    handed = ledger.reopen(NAME, "job-1", LATER)
    assert (handed.job_id, handed.name, handed.envelope) == ("job-1", NAME, "E")
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.path, job.deaths, job.finished_at) == (JobState.ACCEPTED, L, 0, None)
    assert job.error is None
    assert "boom" in job.way
    with pytest.raises(IllegalTransition):
        ledger.reopen(NAME, "job-1", NOW)


def test_a_retry_releases_only_a_started_job(ledger: Ledger) -> None:
    """The new message's path, envelope and due time are in force; the attempt number stays."""
    due = NOW + timedelta(seconds=5)
    again = filing(path=L, envelope="second", at=LATER, not_before=due)
    ledger.file([filing()])
    assert not ledger.release(again, 1)
    claim(ledger)
    assert not ledger.release(again, 2)
    assert ledger.release(again, 1)
    job = ledger.job(NAME, "job-1")
    assert (job.state, job.path, job.envelope) == (JobState.ACCEPTED, L, "second")
    assert (job.sent_at, job.not_before, job.attempt) == (LATER, due, 1)
    assert not ledger.release(filing("nobody"), 1)


def test_renewal_keeps_a_started_job_from_being_silent(ledger: Ledger) -> None:
    """Only started jobs are renewed; an empty list is allowed."""
    started(ledger)
    ledger.file([filing("waiting")])
    ledger.renew([], NOW)
    ledger.renew([running(one) for one in ("job-1", "waiting", "nobody")], LATER)
    assert refusal_of(claim(ledger, delivered=L, now=LATER)) is Refusal.BUSY
    assert ledger.job(NAME, "waiting").renewed_at is None


def test_kept_messages_come_newest_first(ledger: Ledger) -> None:
    """Foreign messages are kept whole for a look."""
    for number in range(3):
        ledger.keep_message("invoices.legacy", f"why {number}", "{}", "body", NOW)
    kept = ledger.kept_messages(2)
    assert [message["why"] for message in kept] == ["why 2", "why 1"]
    assert kept[0]["at"] == NOW


@on_databases
def test_a_forked_child_uses_its_own_connection(ledger_case: LedgerCase) -> None:
    """Parent and child write at the same time and neither sees the other's answers."""
    ledger = ledger_case.ledger
    ledger.file([filing("parent-0")])  # a connection is open before the fork
    child = os.fork()
    if child == 0:  # in the child nothing of pytest may run
        code = 1
        try:
            for number in range(20):
                ledger.file([filing(f"child-{number}")])
                assert ledger.job(NAME, f"child-{number}").job_id == f"child-{number}"
            ledger.close()
            code = 0
        finally:
            os._exit(code)
    for number in range(20):
        ledger.file([filing(f"parent-{number}")])
        assert ledger.job(NAME, f"parent-{number}").job_id == f"parent-{number}"
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sum(count.jobs for count in ledger.open_counts()) == 40


@on_databases
def test_every_call_gives_its_connection_back(ledger_case: LedgerCase) -> None:
    """Refusals, errors and hooks leave no transaction open and no connection taken."""
    ledger = ledger_case.sql
    held = started(ledger)
    claim(ledger)
    commit(ledger, replace(held, attempt=9))
    with pytest.raises(UnknownJob):
        ledger.job(NAME, "nobody")

    def broken(connect: ConnectionSource) -> str:
        connect().execute(text("SELECT 1"))
        raise Defect

    with pytest.raises(Defect):
        ledger.commit(held, Effects.COMMIT, broken, NOW)
    ledger.commit(held, Effects.COMMIT, value("1"), NOW)
    pool = ledger.database.engine.pool
    assert pool.status().count("Current Checked out connections: 0") or (
        "Checked out connections: 0" in pool.status()
    )
    if ledger_case.is_postgresql:
        with ledger.database.read() as connection:
            waiting = connection.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND state LIKE 'idle in transaction%'"
                )
            )
            assert waiting.scalar_one() == 0
            locks = connection.execute(
                text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            )
            assert locks.scalar_one() == 0


def test_the_longest_name_fits(ledger: Ledger) -> None:
    """A sub-pipeline may have ninety characters on every database."""
    name = "n" * 90
    declared(ledger, name=name)
    assert isinstance(commit(ledger, started(ledger, name=name)), Committed)


@pytest.mark.parametrize("path", JobPath)
def test_assigned_path_never_changes(ledger: Ledger, path: JobPath) -> None:
    """Whatever happens to a job, metrics group it by where routing sent it."""
    started(ledger, path=path)
    ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, None, NOW)
    ledger.fail(NAME, "job-1", None, None, "x", NOW)
    ledger.reopen(NAME, "job-1", NOW)
    assert ledger.job(NAME, "job-1").assigned_path is path
