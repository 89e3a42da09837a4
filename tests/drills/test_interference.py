"""A delivery under a drill: what each fault does, to whom, how often, and what ends it."""

import os
import signal
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from rollout.adapters.stub import failing_stub
from rollout.drills.errors import DrillFault
from rollout.drills.fault import ONE_WORKER, Fault, FaultPlan
from rollout.drills.interference import NAP_S, downstream
from rollout.jobs.claims import JobState
from rollout.jobs.delivery import Delivery, Done, Outcome, ToLegacy, Wait
from rollout.jobs.ports import Job
from rollout.jobs.way import read_way
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import Event
from tests.builders import NAME, filing, kill_of
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


def plan(world: World, fault: Fault, path: JobPath = C, **values: Any) -> FaultPlan:
    """Plant a fault for ten seconds."""
    given: dict[str, Any] = {"jobs_max": 100, **values}
    until = world.clock.now() + timedelta(seconds=10)
    made = FaultPlan("drill-1", NAME, (path,), fault, until, **given)
    assert world.runtime.plans.plant(made, timedelta(seconds=10))
    return made


def deliver(
    world: World,
    pipeline: SubPipeline,
    job_id: str = "job-1",
    path: JobPath = C,
    *,
    worker: str = "w1:7",
    drilled: bool = True,
    expendable: bool = False,
) -> Outcome:
    """Deliver a job as a queue does; a legacy message is marked as sent during the drill."""
    made = filing(job_id, path, name=pipeline.name, at=world.clock.now())
    world.ledger.file([made])
    job = Job(job_id, pipeline.name, "7", path, 0, (), {"n": 7})
    delivery = Delivery(job, worker, lambda: made, drilled, expendable)
    return world.runtime.attempts(()).run(pipeline.declared, delivery)


def whats(world: World, job_id: str = "job-1") -> list[str]:
    """What happened to a job."""
    return [line["what"] for line in read_way(world.job(job_id).way)]


def test_a_raised_fault_hands_a_concurrent_job_to_legacy(world: World) -> None:
    """The path is never called, the job is marked, and it counts as a fallback."""
    invoices = world.declare()
    plan(world, Fault.RAISE)
    assert deliver(world, invoices) == ToLegacy(Reason.FAILED)
    assert world.ran == []
    found = world.job()
    assert (found.drill, found.fallback_reason) == ("drill-1", Reason.FAILED)
    assert whats(world) == ["accepted", "started", "drilled", "handed to legacy"]
    assert deliver(world, invoices, path=L) == Done(["legacy", 7])


def test_a_raised_fault_on_legacy_costs_time_and_no_outcome(world: World) -> None:
    """The job runs on legacy again instead of failing for good."""
    invoices = world.declare()
    plan(world, Fault.RAISE, L)
    assert deliver(world, invoices, path=L) == ToLegacy(Reason.DRILL)
    assert world.job().state is JobState.ACCEPTED
    assert deliver(world, invoices, path=L) == Done(["legacy", 7])
    assert world.ran == ["legacy", "hook"]


def test_a_legacy_start_asks_nobody_unless_its_message_says_so(world: World) -> None:
    """Without the mark no question is asked, so the drill costs legacy nothing."""
    invoices = world.declare()
    plan(world, Fault.RAISE, L)
    world.control.reachable = False
    assert deliver(world, invoices, path=L, drilled=False) == Done(["legacy", 7])
    world.control.reachable = True
    assert deliver(world, invoices, "job-2", L, drilled=False) == Done(["legacy", 7])


def test_submission_marks_messages_while_a_drill_is_aimed_at_legacy(world: World) -> None:
    """The routing snapshot carries the plan, and the decision says so for legacy only."""
    world.declare()
    plan(world, Fault.RAISE, L)
    assert not world.runtime.submit.decide(NAME, "7").drilled
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "to legacy", scope_bp=0)
    world.clock.advance(2)
    assert world.runtime.submit.decide(NAME, "7").drilled
    world.control.latch(kill_of())
    world.clock.advance(2)
    assert not world.runtime.submit.decide(NAME, "7").drilled
    world.control.unlatch(NAME, "kill-1")
    world.clock.advance(7)
    assert not world.runtime.submit.decide(NAME, "7").drilled


def test_another_path_is_left_alone(world: World) -> None:
    """A fault aimed at one path never hurts the other."""
    invoices = world.declare()
    plan(world, Fault.RAISE, L)
    assert deliver(world, invoices) == Done(["concurrent", 7])
    assert world.job().drill is None


def test_a_delay_waits_and_then_runs(world: World) -> None:
    """The path begins later and the job commits where it was."""
    invoices = world.declare()
    plan(world, Fault.DELAY, fault_s=2.0)
    before = world.clock.now()
    assert deliver(world, invoices) == Done(["concurrent", 7])
    assert (world.clock.now() - before).total_seconds() == pytest.approx(2.0)


def test_a_hang_ends_with_the_plan(world: World) -> None:
    """Without a time limit the job hangs until the fault is off, and no longer."""
    invoices = world.declare()
    planted = plan(world, Fault.HANG)
    assert deliver(world, invoices) == Done(["concurrent", 7])
    late_s = (world.clock.now() - planted.until).total_seconds()
    assert 0 <= late_s <= 2 * NAP_S


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_hang_ends_at_once_when_the_drill_does(world: World, how: str) -> None:
    """A stop or a kill lets the job go on within a second, and after a kill it cannot commit."""
    invoices = world.declare()
    planted = plan(world, Fault.HANG)
    plain_sleep = world.clock.sleep

    def sleep(seconds: float) -> None:
        plain_sleep(seconds)
        if world.clock.now() >= planted.until - timedelta(seconds=8):
            if how == "stopped":
                world.runtime.plans.unplant(NAME, None)
            elif not world.control.latches():
                world.runtime.changes.kill(NAME, "ada", "enough")

    world.clock.sleep = sleep  # type: ignore[method-assign]
    outcome = deliver(world, invoices)
    assert (planted.until - world.clock.now()).total_seconds() > 7
    # The kill has handed the running job to legacy already; this attempt is stale.
    assert (outcome == Done(["concurrent", 7])) == (how == "stopped")


def test_memory_is_taken_up_to_its_limit(world: World) -> None:
    """The job meets a real MemoryError and legacy takes over."""
    invoices = world.declare()
    plan(world, Fault.MEMORY, memory_mb=40)
    assert deliver(world, invoices) == ToLegacy(Reason.FAILED)
    assert "MemoryError: a drill took 40 MB" in (world.job().error or "")


@pytest.mark.parametrize("effects", ["commit", "none"])
def test_corrupt_output_is_never_committed(world: World, effects: str) -> None:
    """Neither a result that JSON cannot carry nor what a hook wrote in blissful ignorance stays."""
    invoices = world.declare(effects, hook=lambda value, job: "not looked at")
    plan(world, Fault.CORRUPT)
    assert deliver(world, invoices) == ToLegacy(Reason.FAILED)
    assert world.ran[0] == "concurrent"
    assert world.job().result is None


def test_a_child_is_killed_after_its_work_and_before_its_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL comes when the path has run and nothing is saved."""
    invoices = world.declare()
    plan(world, Fault.KILL_CHILD)
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        raise KeyboardInterrupt  # nothing after it may happen

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(KeyboardInterrupt):
        deliver(world, invoices, expendable=True)
    assert sent == [(os.getpid(), signal.SIGKILL)]
    assert world.ran == ["concurrent"]
    assert world.job().state is JobState.STARTED


def test_a_process_that_is_no_pool_child_is_not_killed(world: World) -> None:
    """With threads the process is the whole worker: the job is left alone, unmarked."""
    invoices = world.declare()
    plan(world, Fault.KILL_CHILD)
    assert deliver(world, invoices, expendable=False) == Done(["concurrent", 7])
    assert world.job().drill is None


def test_a_cut_store_looks_like_an_absent_one(world: World) -> None:
    """The start goes to legacy for the reason that an absent store gives; legacy asks nobody."""
    invoices = world.declare()
    plan(world, Fault.STORE_CUT)
    assert deliver(world, invoices) == ToLegacy(Reason.UNREACHABLE)
    assert world.job().drill == "drill-1"
    world.runtime.plans.unplant(NAME, None)
    plan(world, Fault.STORE_CUT, L)
    assert deliver(world, invoices, "job-2", L) == Done(["legacy", 7])
    assert world.job("job-2").drill is None


def test_the_way_back_is_walked_by_every_start(world: World) -> None:
    """Starts go to legacy for the reason that a drill has; legacy is left alone."""
    invoices = world.declare()
    plan(world, Fault.WAY_BACK)
    assert deliver(world, invoices) == ToLegacy(Reason.DRILL)
    assert deliver(world, invoices, path=L) == Done(["legacy", 7])
    assert world.ran == ["legacy", "hook"]


def test_a_cut_ledger_looks_like_an_absent_one(world: World) -> None:
    """A concurrent start goes to legacy; a legacy start that needs the ledger waits, each time."""
    invoices = world.declare()
    plan(world, Fault.LEDGER_CUT)
    assert deliver(world, invoices) == ToLegacy(Reason.LEDGER_UNREACHABLE)
    assert world.job().drill == "drill-1"
    world.runtime.plans.unplant(NAME, None)
    plan(world, Fault.LEDGER_CUT, L)
    for _ in range(2):
        assert isinstance(deliver(world, invoices, "job-2", L), Wait)
    world.runtime.plans.unplant(NAME, None)
    assert deliver(world, invoices, "job-2", L) == Done(["legacy", 7])


def test_a_lock_keeps_other_writers_out(world: World) -> None:
    """While the job holds it the ledger's write lock is taken, and free again after."""
    seen: list[bool] = []

    def concurrent(n: int) -> Any:
        seen.append(locked(world))
        return n

    invoices = world.declare(concurrent=concurrent)
    planted = plan(world, Fault.LOCK, fault_s=0.3)
    held: list[bool] = []
    goes_on = world.control.read

    def read(name: str) -> Any:
        reading = goes_on(name)
        if world.job().drill is not None:
            held.append(locked(world))
        return reading

    world.control.read = read  # type: ignore[method-assign]
    assert deliver(world, invoices) == Done(7)
    assert held
    assert all(held)
    assert seen == [False]
    assert planted.fault is Fault.LOCK


def locked(world: World) -> bool:
    """Whether somebody holds SQLite's write lock."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect("ledger.db", timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
        return False


def test_a_downstream_service_answers_errors(world: World) -> None:
    """The path's own client meets a real 503, and the true address everywhere else."""
    asked: list[str] = []

    def concurrent(n: int) -> Any:
        asked.append(downstream("http://billing.example"))
        with urlopen(asked[-1], timeout=5) as answer:
            return answer.read()

    invoices = world.declare(concurrent=concurrent)
    url, stop = failing_stub()
    try:
        plan(world, Fault.DOWNSTREAM, stub_url=url)
        assert deliver(world, invoices) == ToLegacy(Reason.FAILED)
    finally:
        stop()
    assert asked == [url]
    assert HTTPError.__name__ in (world.job().error or "")
    assert downstream("http://billing.example") == "http://billing.example"


def test_no_more_jobs_are_hurt_than_the_plan_allows(world: World) -> None:
    """The limit holds over all workers."""
    invoices = world.declare()
    plan(world, Fault.RAISE, jobs_max=2)
    for number in range(6):
        deliver(world, invoices, f"job-{number}", worker=f"w{number}:1")
    assert [world.job(f"job-{number}").drill for number in range(6)].count("drill-1") == 2
    assert world.ran.count("concurrent") == 4


def test_a_share_chooses_the_same_jobs_each_time(world: World) -> None:
    """About the share of jobs is hurt, by their ids."""
    invoices = world.declare()
    planted = plan(world, Fault.RAISE, share_bp=2_500)
    for number in range(60):
        deliver(world, invoices, f"job-{number}")
    hurt = {n for n in range(60) if world.job(f"job-{n}").drill is not None}
    assert hurt == {n for n in range(60) if planted.chooses(f"job-{n}", "w1")}
    assert 5 <= len(hurt) <= 25


@pytest.mark.parametrize("worker", ["w1", ONE_WORKER])
def test_one_worker_is_hurt_and_the_others_are_not(world: World, worker: str) -> None:
    """A named worker, or the first that comes by."""
    invoices = world.declare()
    plan(world, Fault.RAISE, worker=worker)
    for job_id, node in (("job-1", "w1:7"), ("job-2", "w2:7"), ("job-3", "w1:8")):
        deliver(world, invoices, job_id, worker=node)
    assert [world.job(f"job-{n}").drill is not None for n in (1, 2, 3)] == [True, False, True]


def test_a_job_is_hurt_once(world: World) -> None:
    """A later drill leaves a job alone that was hurt before."""
    invoices = world.declare()
    plan(world, Fault.RAISE)
    deliver(world, invoices)
    world.runtime.plans.unplant(NAME, None)
    plan(world, Fault.RAISE, L)
    assert deliver(world, invoices, path=L) == Done(["legacy", 7])


@pytest.mark.parametrize("name", [NAME, None])
def test_no_fault_after_a_kill_latch(world: World, name: str | None) -> None:
    """Under a latch the plan is in force on neither path, and nobody can be taken into it."""
    invoices = world.declare()
    planted = plan(world, Fault.RAISE, L)
    world.control.latch(replace(kill_of(), name=name))
    assert deliver(world, invoices, path=L) == Done(["legacy", 7])
    assert not world.runtime.plans.take(planted, "job-9", "w1")


def test_a_plan_that_is_over_hurts_nobody(world: World) -> None:
    """Also when the store has not forgotten it yet: a worker looks at the time in it."""
    invoices = world.declare()
    until = world.clock.now() + timedelta(seconds=1)
    stale = FaultPlan("drill-1", NAME, (C,), Fault.RAISE, until, 10)
    assert world.runtime.plans.plant(stale, timedelta(seconds=60))
    world.clock.advance(1)
    assert deliver(world, invoices) == Done(["concurrent", 7])


def test_an_unsafe_job_is_never_repeated_by_a_drill(world: World) -> None:
    """Only faults that leave its effects alone reach it."""
    payments = world.declare("unsafe")
    plan(world, Fault.RAISE)
    assert deliver(world, payments) == Done(["concurrent", 7])
    assert world.job().drill is None


def test_a_job_without_a_mark_is_not_hurt(world: World) -> None:
    """When the ledger cannot take the mark, the job runs as if there were no drill."""
    invoices = world.declare()
    plan(world, Fault.RAISE)
    world.line.cut("mark_drilled")
    assert deliver(world, invoices) == Done(["concurrent", 7])


def test_legacys_own_time_limit_under_a_drill_is_no_failure(world: World) -> None:
    """A hang on legacy that runs into the hard limit is handed back; a second one is kept."""
    invoices = world.declare()
    made = filing("job-1", L)
    world.ledger.file([made])
    job = Job("job-1", NAME, "7", L, 0, (), {"n": 7})
    attempts = world.runtime.attempts(())
    for outcome in (ToLegacy(Reason.DRILL), None):
        claim = world.ledger.claim(
            NAME, "job-1", L, invoices.effects, "w1:7", world.clock.now(), timedelta(30)
        )
        assert claim is not None
        world.ledger.mark_drilled(NAME, "job-1", "drill-1", Fault.HANG, world.clock.now())
        found = attempts.worker_lost(invoices.declared, job, "w1:7", Reason.TIME_LIMIT)
        assert found == outcome or outcome is None
    assert world.job().state is JobState.FAILED


def test_the_fault_says_what_to_do() -> None:
    """Its text names the drill."""
    assert "drill d1 broke this job on purpose: raise" in str(DrillFault("d1", "raise"))
