"""What each path did in a window, on every ledger."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.tables import job
from rollout.drills.fault import Fault
from rollout.drills.ports import Samples
from rollout.evidence.sample import PathSample
from rollout.evidence.thresholds import Thresholds
from rollout.jobs.claims import Claim
from rollout.jobs.ports import Filing
from rollout.pilot.trial import begin
from rollout.policy.policy import Policy
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import ClosingLedger, LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import C, L, claim, commit, declared

SECOND = timedelta(seconds=1)
END = NOW + 60 * SECOND


def at(seconds: float) -> datetime:
    """So many seconds into the window."""
    return NOW + seconds * SECOND


def begun(ledger: ClosingLedger, job_id: str, path: JobPath = C) -> Claim:
    """File a job when the window begins, and claim it."""
    ledger.file([filing(job_id, path)])
    got = claim(ledger, job_id, path)
    assert isinstance(got, Claim)
    return got


def ended(ledger: ClosingLedger, job_id: str, path: JobPath, seconds: float) -> None:
    """A job that is committed on its path so many seconds into the window."""
    commit(ledger, begun(ledger, job_id, path), now=at(seconds))


def rescued(ledger: ClosingLedger, job_id: str, seconds: float) -> None:
    """A job that failed on the concurrent path and is committed on legacy."""
    held = begun(ledger, job_id)
    assert ledger.hand_over(NAME, job_id, held.attempt, Reason.FAILED, "broken", NOW)
    again = claim(ledger, job_id, L)
    assert isinstance(again, Claim)
    commit(ledger, again, now=at(seconds))


def seen(ledger: Samples, since: datetime = NOW, until: datetime = END) -> list[PathSample]:
    """The samples of the concurrent path and of legacy."""
    idle = dict.fromkeys(JobPath, PathSample.idle(until))
    samples = ledger.samples(since, until).get(NAME, idle)
    return [samples[C], samples[L]]


def test_nothing_happened(ledger: ClosingLedger) -> None:
    """A window without jobs has no cycle time, and nothing is open."""
    declared(ledger)
    idle = PathSample.idle(END)
    assert seen(ledger) == [idle, idle]
    assert ledger.samples(NOW, END) == {}


def test_jobs_are_counted_by_the_path_they_were_assigned_to(ledger: ClosingLedger) -> None:
    """A rescued job is a failure of the concurrent path, with its whole cycle time."""
    declared(ledger)
    for number in range(18):
        ended(ledger, f"good-{number}", C, 2)
    ended(ledger, "long", C, 30)
    rescued(ledger, "rescued", 20)
    ended(ledger, "legacy", L, 5)
    ledger.fail(NAME, "kept", begun(ledger, "kept", L).attempt, None, "broken", at(7))
    concurrent, legacy = seen(ledger)
    assert concurrent == PathSample(END, 20, 1, 20.0, 0.0)
    assert legacy == PathSample(END, 2, 1, 7.0, 0.0)


def test_a_window_holds_its_end_and_not_its_beginning(ledger: ClosingLedger) -> None:
    """Windows that follow each other count each job once."""
    declared(ledger)
    for seconds in (10, 20, 30):
        ended(ledger, f"job-{seconds}", C, seconds)
    edges = [NOW, at(10), at(20), at(30), END]
    parts = [seen(ledger, since, until)[0].jobs for since, until in pairwise(edges)]
    assert parts == [1, 1, 1, 0]


def test_the_oldest_open_job_has_its_age(ledger: ClosingLedger) -> None:
    """Waiting, running or waiting for legacy: by the path it was assigned to, once it is due."""
    declared(ledger)
    ledger.file([
        filing("waits", at=at(40)), filing("later", at=at(1), not_before=at(90)),
        filing("due", L, at=at(1), not_before=at(50)), filing("after", L, at=at(70)),
    ])  # fmt: skip
    assert [sample.oldest_s for sample in seen(ledger)] == [20.0, 10.0]
    held = begun(ledger, "stuck")
    assert [sample.oldest_s for sample in seen(ledger)] == [60.0, 10.0]
    assert ledger.hand_over(NAME, "stuck", held.attempt, Reason.WORKER_LOST, None, at(30))
    assert [sample.oldest_s for sample in seen(ledger)] == [60.0, 10.0]


def test_a_job_that_is_not_due_is_not_open(ledger: ClosingLedger) -> None:
    """It is to start later, or came after the window's end."""
    declared(ledger)
    ledger.file([filing("later", at=at(1), not_before=at(90)), filing("after", L, at=at(70))])
    assert seen(ledger) == [PathSample.idle(END)] * 2


def test_what_says_nothing_about_a_path_is_left_out(ledger: ClosingLedger) -> None:
    """Moved by a kill, failed on both, a drill's, tried by hand, routed by nobody, clock back."""
    declared(ledger)
    killed = begun(ledger, "killed")
    assert ledger.hand_over(NAME, "killed", killed.attempt, Reason.FENCED, None, NOW)
    moved = claim(ledger, "killed", L)
    assert isinstance(moved, Claim)
    commit(ledger, moved, now=at(3))
    both = begun(ledger, "both")
    assert ledger.hand_over(NAME, "both", both.attempt, Reason.FAILED, "broken", NOW)
    again = claim(ledger, "both", L)
    assert isinstance(again, Claim)
    ledger.fail(NAME, "both", again.attempt, None, "broken", at(3))
    ledger.file([Filing("own", NAME, "7", L, Reason.OPTED_OUT, 3, "{}", NOW)])
    for job_id in ("drill", "drill-open"):
        begun(ledger, job_id)
        assert ledger.mark_drilled(NAME, job_id, "drill-1", Fault.RAISE, NOW)
    commit(ledger, Claim("drill", NAME, C, 1, 0, False), now=at(3))
    ledger.fail(
        NAME, "by-hand", begun(ledger, "by-hand", L).attempt, None, "broken", NOW - 99 * SECOND
    )
    ledger.reopen(NAME, "by-hand", NOW)
    ended(ledger, "back", C, -5)
    idle = PathSample.idle(END)
    assert seen(ledger, since=NOW - 50 * SECOND) == [idle, idle]


def test_jobs_admitted_during_a_drill_are_nobodys_sample(ledger: ClosingLedger) -> None:
    """What a drill hurts on purpose is no incident; it counts again once the drill is over."""
    declared(ledger)
    ledger.begin_span(NAME, "drill-1", NOW - SECOND, at(10))
    ended(ledger, "hurt", C, 5)
    ledger.file([filing("hurt-open", L)])
    assert seen(ledger) == [PathSample.idle(END)] * 2
    ledger.end_span("drill-1", NOW - SECOND / 2)
    assert [sample.jobs for sample in seen(ledger)] == [1, 0]
    assert [sample.oldest_s for sample in seen(ledger)] == [0.0, 60.0]


def test_other_sub_pipelines_are_other_watches(ledger: ClosingLedger) -> None:
    """Only jobs of this name count, finished or open."""
    declared(ledger)
    declared(ledger, name="other")
    ledger.file([filing("theirs", name="other"), filing("open", name="other")])
    held = claim(ledger, "theirs", name="other")
    assert isinstance(held, Claim)
    commit(ledger, held, now=at(1))
    assert [sample.jobs for sample in seen(ledger)] == [0, 0]
    assert ledger.samples(NOW, END)["other"][C] == PathSample(END, 1, 0, 1.0, 60.0)


@on_databases
@pytest.mark.parametrize("analyzed", [True, False])
def test_no_history_is_read(ledger_case: LedgerCase, analyzed: bool) -> None:
    """Finished jobs come by the time they ended, open ones from the index of what is open."""
    ledger = ledger_case.sql
    declared(ledger)
    add_history(ledger, 3_000)
    if analyzed:
        with ledger.database.write() as connection:
            connection.execute(text("ANALYZE"))
    plan = plan_of(ledger_case, lambda: ledger.samples(NOW, END))
    for index in ("job_committed", "job_failed", "job_open"):
        assert index in plan, plan
    # Any other index would go through all jobs of the name that ever were.
    for whole in ("Seq Scan on job", "job_admitted", "job_pkey", "sqlite_autoindex"):
        assert whole not in plan, plan


@on_databases
def test_what_runs_is_found_without_history(ledger_case: LedgerCase) -> None:
    """What the controller asks of unfinished jobs in each tick comes from the index of them."""
    ledger = ledger_case.sql
    declared(ledger)
    add_history(ledger, 3_000)
    trial = begin(ledger.control(NAME), (None, None), Policy(), Thresholds(350, 365), NOW)
    for calls in (lambda: ledger.pass_time(END, {}), lambda: ledger.open_slow(trial, END)):
        plan = plan_of(ledger_case, calls)
        assert "job_open" in plan, plan
        for whole in ("Seq Scan on job", "SCAN job USING INDEX job_admitted"):
            assert whole not in plan, plan


def add_history(ledger: SqlLedger, jobs: int) -> None:
    """Jobs of fifty names that ended before now, one a second, every tenth failed."""
    held = begun(ledger, "template")
    commit(ledger, held, now=at(1))
    with ledger.database.write() as connection:
        template = connection.execute(select(job)).mappings().one()
        rows = [
            {
                **template,
                "job_id": f"old-{number}",
                "name": NAME if number % 50 == 0 else f"other-{number % 50}",
                "state": "failed" if number % 10 == 0 else "committed",
                "accepted_at": NOW - (number + 9) * SECOND,
                "finished_at": NOW - number * SECOND,
            }
            for number in range(jobs)
        ]
        connection.execute(insert(job), rows)


def plan_of(case: LedgerCase, calls: Callable[[], object]) -> str:
    """The database's plans for all that these calls read."""
    engine = case.sql.database.engine
    said: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        said.append((statement, values))

    event.listen(engine, "before_cursor_execute", listen)
    calls()
    event.remove(engine, "before_cursor_execute", listen)
    explain = "EXPLAIN" if case.is_postgresql else "EXPLAIN QUERY PLAN"
    with case.sql.database.read() as connection:
        return "\n".join(
            str(row)
            for statement, values in said
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"{explain} {statement}", values)
        )
