"""One suite over both databases: what drills keep in the ledger."""

from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rollout.adapters.sql.ledger import SqlLedger
from rollout.drills.fault import Fault
from rollout.drills.ports import DrillEvent
from rollout.errors import UnknownSubPipeline
from rollout.jobs.claims import Claim, JobState
from rollout.jobs.way import read_way
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of
from tests.contract.conftest import LedgerCase

C, L = JobPath.CONCURRENT, JobPath.LEGACY
EVENT = DrillEvent("d1", NAME, NOW, "declared", {"path": "legacy", "n": 1})


def s(seconds: float) -> timedelta:
    """Seconds."""
    return timedelta(seconds=seconds)


@pytest.fixture
def declared(ledger: SqlLedger) -> SqlLedger:
    """A ledger with one sub-pipeline."""
    ledger.ensure(NAME, Effects.COMMIT, 500, NOW)
    return ledger


def commit(ledger: SqlLedger, job_id: str, path: JobPath, after_s: float) -> None:
    """File a job, and commit it so many seconds later on its path."""
    ledger.file([filing(job_id, path)])
    claim = ledger.claim(NAME, job_id, path, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
    assert isinstance(claim, Claim)
    ledger.commit(claim, Effects.COMMIT, lambda connect: "1", NOW + s(after_s))


def test_a_job_is_marked_once(declared: SqlLedger) -> None:
    """With a line in its way; a second drill, or an unknown job, gets a no."""
    declared.file([filing("job-1")])
    assert declared.mark_drilled(NAME, "job-1", "d1", Fault.HANG, NOW)
    assert not declared.mark_drilled(NAME, "job-1", "d2", Fault.HANG, NOW)
    assert not declared.mark_drilled(NAME, "nobody", "d1", Fault.HANG, NOW)
    (found,) = declared.drilled_jobs("d1")
    assert (found.job_id, found.drill) == ("job-1", "d1")
    assert read_way(found.way)[-1]["fault"] == "hang"
    assert declared.drilled_jobs("d2") == []


def test_a_window_has_finished_jobs_of_both_paths(declared: SqlLedger) -> None:
    """By assigned path and by the time they finished, drilled ones included."""
    for number, after_s in enumerate((1, 2, 3, 9)):
        commit(declared, f"c{number}", C, after_s)
    commit(declared, "l0", L, 2.5)
    declared.file([filing("open", L, at=NOW + s(1))])
    declared.mark_drilled(NAME, "c1", "d1", Fault.DELAY, NOW)
    found = declared.window(NAME, NOW + s(1), NOW + s(5))
    assert (found[C].jobs, found[C].failed, found[C].p95_s) == (2, 0, 3.0)
    assert (found[L].jobs, found[L].p95_s, found[L].oldest_s) == (1, 2.5, 4.0)
    assert declared.window("other", NOW, NOW + s(99))[C].jobs == 0


def test_failures_of_a_window(declared: SqlLedger) -> None:
    """A fallback, a job that failed, and a run that a drill broke on legacy."""
    for job_id, path in (("fell", C), ("kept", L), ("broken", L), ("fine", L)):
        declared.file([filing(job_id, path)])
        claim = declared.claim(NAME, job_id, path, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
        assert isinstance(claim, Claim)
        if job_id == "kept":
            declared.fail(NAME, job_id, 1, None, "no", NOW + s(1))
            continue
        if job_id != "fine":
            declared.mark_drilled(NAME, job_id, "d1", Fault.RAISE, NOW)
            reason = Reason.FAILED if path is C else Reason.DRILL
            declared.hand_over(NAME, job_id, 1, reason, "no", NOW)
            again = declared.claim(NAME, job_id, L, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
            assert isinstance(again, Claim)
            claim = again
        declared.commit(claim, Effects.COMMIT, lambda connect: "1", NOW + s(1))
    found = declared.window(NAME, NOW, NOW + s(2))
    assert (found[C].jobs, found[C].failed) == (1, 1)
    assert (found[L].jobs, found[L].failed) == (3, 2)


def test_victims_of_an_outside_fault_are_marked(declared: Any) -> None:
    """Jobs of the path that fell back or failed since then; nobody twice, nobody else."""
    for job_id, path in (("fell", C), ("fine", C), ("early", C), ("kept", L)):
        declared.file([filing(job_id, path)])
        claim = declared.claim(NAME, job_id, path, Effects.COMMIT, "w1", NOW, SILENT_AFTER)
        assert isinstance(claim, Claim)
    declared.hand_over(NAME, "early", 1, Reason.FAILED, "no", NOW)
    declared.hand_over(NAME, "fell", 1, Reason.FAILED, "no", NOW + s(5))
    declared.fail(NAME, "kept", 1, None, "no", NOW + s(5))
    assert declared.mark_victims(NAME, C, "d1", NOW + s(1), NOW + s(6)) == 1
    assert declared.mark_victims(NAME, C, "d1", NOW + s(1), NOW + s(7)) == 0
    assert [job.job_id for job in declared.drilled_jobs("d1")] == ["fell"]
    assert declared.mark_victims(NAME, L, "d2", NOW + s(1), NOW + s(7)) == 1


def test_jobs_of_the_last_hour_are_read(declared: Any) -> None:
    """By their admission, of one sub-pipeline, oldest first, without their messages."""
    late = NOW + timedelta(hours=2)
    declared.file([filing("old")])
    declared.file([filing("new", at=late - s(60))])
    found = declared.jobs_since(NAME, late)
    assert [job.job_id for job in found] == ["new"]
    assert found[0].envelope == ""
    assert declared.jobs_since("other", late) == []


def test_the_effects_are_those_declared(declared: SqlLedger) -> None:
    """And an unknown name is an error."""
    assert declared.effects(NAME) is Effects.COMMIT
    with pytest.raises(UnknownSubPipeline):
        declared.effects("nobody")


def test_a_journal_is_append_only(declared: SqlLedger) -> None:
    """It comes back in order, and no client can rewrite it."""
    later = replace(EVENT, at=NOW + s(1), what="ended", facts={"result": "healed"})
    declared.append_drill([EVENT, later])
    declared.append_drill([])
    assert declared.drill_events("d1") == [EVENT, later]
    assert declared.drills(NAME, 10) == declared.drills(None, 10) == [EVENT, later]
    assert declared.drills("other", 10) == []
    if not isinstance(declared, SqlLedger):
        return  # memory has no other client
    for change in ("UPDATE drill_event SET what = 'x'", "DELETE FROM drill_event"):
        with (
            pytest.raises(DBAPIError, match="append-only"),
            declared.database.engine.begin() as connection,
        ):
            connection.execute(text(change))
    assert declared.drill_events("d1") == [EVENT, later]


def test_drills_are_listed_newest_first(declared: SqlLedger) -> None:
    """First and last line of each, up to the limit."""
    for number in range(3):
        declared.append_drill([replace(EVENT, drill_id=f"d{number}")])
    assert [event.drill_id for event in declared.drills(None, 2)] == ["d2", "d1"]


def test_a_lock_keeps_writers_out_and_lets_a_kill_pass_soon(
    ledger_case: LedgerCase, declared: SqlLedger
) -> None:
    """It ends when it is told to, so that a kill waits for a moment only."""
    declared.file([filing("job-1")])
    holding, goes_on = Event(), Event()
    goes_on.set()

    def looks() -> bool:
        holding.set()
        return goes_on.is_set()

    other = ledger_case.another()
    holder = Thread(target=lambda: declared.hold_lock(30, looks))
    holder.start()
    try:
        assert holding.wait(10)
        marked: list[bool] = []
        writer = Thread(
            target=lambda: marked.append(other.mark_drilled(NAME, "job-1", "d1", Fault.LOCK, NOW))
        )
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        goes_on.clear()
        assert other.kill(kill_of())[0].killed
        writer.join(10)
        assert marked == [True]
        assert other.job(NAME, "job-1").state is JobState.ACCEPTED
    finally:
        goes_on.clear()
        holder.join()
        other.close()
