"""Drills from check to score, on a virtual clock with simulated jobs on both paths."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.adapters.stub import failing_stub
from rollout.drills.drill import Abort, Drill, Exercise, Target, read_drill
from rollout.drills.drills import LEDGER, DrillReport, Drills
from rollout.drills.errors import DrillRefused
from rollout.drills.fault import Fault, FaultPlan
from rollout.drills.injector import FaultInjector
from rollout.drills.ports import DrillEvent
from rollout.drills.score import Result, Score
from rollout.errors import ControlStoreUnreachable, UnknownSubPipeline
from rollout.jobs.claims import JobState
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from tests.builders import NAME, NOW
from tests.traffic import Traffic
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY
BOTH = (L, C)


def a_drill(**values: Any) -> Drill:
    """A drill that hurts every job of the concurrent path for ten seconds."""
    given: dict[str, Any] = {
        "name": "broken",
        "sub_pipeline": NAME,
        "paths": (C,),
        "fault": Fault.RAISE,
        "duration_s": 10,
        "blast_radius_jobs": 40,
        "deadline_s": 60,
        "window_s": 2,
        "windows_before": 8,
        **values,
    }
    return Drill(**given)


@pytest.fixture
def pipeline(world: World) -> SubPipeline:
    """A sub-pipeline with legacy jobs, too."""
    made = world.declare()
    world.runtime.changes.change(NAME, Event.SCOPE, "ada", "half", scope_bp=9_500)
    return made


@pytest.fixture
def traffic(world: World, pipeline: SubPipeline) -> Traffic:
    """Twenty seconds of normal traffic, which goes on."""
    world.control.beat("controller", timedelta(days=10))
    made = Traffic(world, pipeline)
    world.clock.advance(20)
    return made


def run(world: World, drill: Drill, first: JobPath = C) -> DrillReport:
    """Run a drill to its end; whatever came of it, no fault is left."""
    try:
        return world.runtime.drills(None).run(drill, first, "ada")
    finally:
        if world.control.reachable:
            assert world.runtime.plans.planted(NAME) is None


def score_of(world: World, drill: Drill) -> Score:
    """Run a drill on one path and give its score."""
    (score,) = run(world, drill).scores
    return score


def journal(world: World) -> list[DrillEvent]:
    """The journal of the newest drill."""
    return world.ledger.drill_events(world.ledger.drills(None, 1)[0].drill_id)


def whats(world: World) -> list[str]:
    """What the newest journal says, without repetitions and windows."""
    return list(dict.fromkeys(e.what for e in journal(world) if e.what != "window"))


def at(world: World, seconds: float, act: Callable[[], Any], traffic: Traffic) -> None:
    """Do something once, so many seconds from now, while jobs go on."""
    due = world.clock.now() + timedelta(seconds=seconds)
    done: list[Any] = []

    def when(now: datetime) -> None:
        if now >= due and not done:
            done.append(act())

    traffic.also.append(when)


# Measuring ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("outage_s", [4, 10.3, 21])
def test_recovery_is_the_outage_within_one_window(
    world: World, traffic: Traffic, path: JobPath, outage_s: float
) -> None:
    """A path that fails wholly for a known time is measured as down for that time."""
    drill = a_drill(paths=(path,), duration_s=outage_s, blast_radius_jobs=int(outage_s * 4))
    drill = replace(drill, blast_radius_jobs=min(drill.blast_radius_jobs, int(outage_s * 3.9)))
    began = world.clock.now()
    score = score_of(world, replace(drill, abort=Abort(other_path_windows=None)))
    assert score.result is Result.HEALED
    assert score.onset_at is not None
    assert score.recovery_s is not None
    off = next(e.at for e in journal(world) if e.what == "fault off")
    true_s = (off - score.onset_at).total_seconds()
    assert abs(score.recovery_s - true_s) <= drill.window_s
    assert score.onset_at - began <= timedelta(seconds=1)
    assert (score.jobs_lost, score.effects_twice) == (0, 0)
    assert score.detection_s is not None
    assert score.detection_s <= drill.window_s


def test_the_journal_has_everything_in_order(world: World, traffic: Traffic) -> None:
    """Fault on, first failure, fallbacks, fault off, last hurt job, back in the band, score."""
    score = score_of(world, a_drill(target=Target(jobs=3)))
    found = whats(world)
    for word in (
        "declared", "steady", "fault on", "job handed to legacy", "job started", "job committed",
        "fault off", "last hurt job finished", "ended",
    ):  # fmt: skip
        assert word in found, word
    assert found.index("fault on") < found.index("fault off") < found.index("ended")
    ended = journal(world)[-1].facts
    assert ended["jobs_hurt"] == score.jobs_hurt == 3
    assert ended["result"] == "healed"
    assert journal(world)[0].facts["blast_radius_jobs"] == 40


def test_results_and_spans_are_kept(world: World, traffic: Traffic) -> None:
    """The recovery is in its table, and the span covers the drill."""
    began = world.clock.now()
    score = score_of(world, a_drill())
    (kept,) = world.ledger.recoveries(NAME, NOW)
    assert (kept.kind, kept.path, kept.fault, kept.pair_id) == ("drill", C, "raise", None)
    assert (kept.seconds, kept.cap_s) == (score.recovery_s, 60)
    assert (kept.jobs_hurt, kept.jobs_lost) == (score.jobs_hurt, 0)
    assert spans(world) == [(began, world.clock.now())]


def spans(world: World) -> list[tuple[datetime, datetime]]:
    """All spans of drills."""
    from sqlalchemy import select

    from rollout.adapters.sql.pilot_tables import drill_span

    with world.runtime.database.read() as connection:
        rows = connection.execute(select(drill_span)).all()
    return [(row.began_at, row.ended_at) for row in rows]


@pytest.mark.parametrize("first", BOTH)
def test_a_pair_hurts_both_paths_back_to_back(
    world: World, traffic: Traffic, first: JobPath
) -> None:
    """In the given order, under one pair id, each from the steady state."""
    report = run(world, a_drill(paths=BOTH), first)
    assert [score.path for score in report.scores] == [first, L if first is C else C]
    assert all(score.result is Result.HEALED for score in report.scores)
    kept = world.ledger.recoveries(NAME, NOW)
    assert {one.pair_id for one in kept} == {report.pair_id} != {None}
    assert {one.path for one in kept} == set(BOTH)
    assert report.clean


def test_a_pair_with_half_a_measurement_is_none(world: World, traffic: Traffic) -> None:
    """When one half was broken off, what the other measured is kept without a pair."""

    def kill_switch() -> None:
        world.runtime.plans.unplant(NAME, None)

    at(world, 3, kill_switch, traffic)
    report = run(world, a_drill(paths=BOTH))
    assert [score.result for score in report.scores] == [Result.ABORTED, Result.HEALED]
    assert report.pair_id is None
    assert [one.pair_id for one in world.ledger.recoveries(NAME, NOW)] == [None]


def test_a_fault_that_meets_nobody_measures_nothing(world: World, traffic: Traffic) -> None:
    """A child cannot be killed where there is none; the drill says so and keeps no time."""
    score = score_of(world, a_drill(fault=Fault.KILL_CHILD))
    assert score.result is Result.NOBODY_HURT
    assert world.ledger.recoveries(NAME, NOW) == []


def test_the_first_half_of_a_pair_is_kept_when_there_is_no_second(
    world: World, traffic: Traffic
) -> None:
    """It was measured, whatever forbids the other one."""
    freeze = (NAME, Event.FREEZE, "ada", "wait")
    at(world, 3, lambda: world.runtime.changes.change(*freeze), traffic)
    with pytest.raises(DrillRefused, match="it is frozen"):
        run(world, a_drill(paths=BOTH))
    assert [(one.path, one.pair_id) for one in world.ledger.recoveries(NAME, NOW)] == [(C, None)]


class Outside:
    """A fault from outside, such as an experiment that died at its start: no worker marks a job."""

    external = True

    def on(self, drill_id: str, path: JobPath, until: datetime) -> None:
        """Nothing is to be started."""

    def off(self) -> dict[str, Any]:
        """Nothing is to be ended."""
        return {}

    def finished(self) -> bool:
        """It lasts as long as the drill says."""
        return False

    def gone(self) -> bool:
        """Nobody ends it."""
        return False


def outside_score(world: World, **values: Any) -> Score:
    """Run a drill whose fault comes from outside."""
    runtime = world.runtime
    drills = Drills(
        runtime.database_ledger,
        runtime.control,
        runtime.plans,
        runtime.changes,
        runtime.clock,
        failing_stub,
        injectors=lambda drill: Outside(),
    )
    drill = a_drill(fault=Exercise.CHAOS, experiment={}, **values)
    (score,) = drills.run(drill, C, "ada").scores
    return score


def test_an_outside_fault_that_hurts_nobody_measures_nothing(
    world: World, traffic: Traffic
) -> None:
    """An experiment that did nothing is no recovery within a millisecond."""
    score = outside_score(world)
    assert (score.result, score.recovery_s) == (Result.NOBODY_HURT, None)
    assert world.ledger.recoveries(NAME, NOW) == []


@pytest.mark.parametrize("ends", [True, False])
def test_an_outside_fault_may_hurt_a_path_without_failing_a_job(
    world: World, traffic: Traffic, ends: bool
) -> None:
    """Jobs that only wait take a window out of the band; a path that stays there is not healed."""
    at(world, 2, lambda: traffic.stalled.add(C), traffic)
    at(world, 8, lambda: traffic.stalled.discard(C) if ends else None, traffic)
    score = outside_score(world)
    assert score.jobs_hurt == 0
    assert score.result is (Result.HEALED if ends else Result.NOT_HEALED)
    (kept,) = world.ledger.recoveries(NAME, NOW)
    assert (6 <= kept.seconds <= 16) if ends else (kept.seconds == 60)


def test_drill_jobs_are_marked_and_still_counted(world: World, traffic: Traffic) -> None:
    """Each hurt job has its one outcome in the tallies, as any other."""
    score = score_of(world, a_drill())
    hurt = world.ledger.drilled_jobs(score.drill_id)
    assert len(hurt) == score.jobs_hurt > 30
    assert {record.state for record in hurt} == {JobState.COMMITTED}
    counted = sum(tally.jobs for tally in world.ledger.tallies()[0])
    still_open = sum(count.jobs for count in world.ledger.open_counts())
    with world.runtime.database.read() as connection:
        all_jobs = connection.exec_driver_sql("SELECT count(*) FROM job").scalar_one()
    assert counted + still_open == all_jobs


# Refusing ----------------------------------------------------------------------------------


def refused(world: World, drill: Drill) -> str:
    """A drill that is refused has started nothing."""
    with pytest.raises(DrillRefused) as caught:
        run(world, drill)
    assert world.ledger.drills(None, 10) == []
    assert spans(world) == []
    return str(caught.value)


def test_an_unknown_sub_pipeline_is_refused(world: World, traffic: Traffic) -> None:
    """With a guess at what was meant."""
    with pytest.raises(UnknownSubPipeline, match="did you mean 'invoices'"):
        run(world, a_drill(sub_pipeline="invoice"))


def test_a_killed_sub_pipeline_is_refused(world: World, traffic: Traffic) -> None:
    """A drill on top of an incident helps nobody."""
    world.runtime.changes.kill(NAME, "ada", "bad")
    assert "it is killed" in refused(world, a_drill(paths=(L,)))


def test_a_frozen_sub_pipeline_is_refused(world: World, traffic: Traffic) -> None:
    """A freeze is for quiet."""
    world.runtime.changes.change(NAME, Event.FREEZE, "ada", "quiet")
    assert "it is frozen" in refused(world, a_drill())


def test_a_path_without_jobs_is_refused(world: World, traffic: Traffic) -> None:
    """Nothing runs concurrently in stage legacy."""
    world.runtime.changes.change(NAME, Event.REVERT, "ada", "back")
    assert "no job runs on the concurrent path (stage)" in refused(world, a_drill())


def test_an_unsteady_path_is_refused(world: World, traffic: Traffic) -> None:
    """Jobs that have waited for long are no steady state."""
    traffic.stalled.add(C)
    world.clock.advance(4)
    assert "concurrent is not in its steady state" in refused(world, a_drill())


def test_too_little_traffic_is_refused(world: World, traffic: Traffic) -> None:
    """A band needs windows with jobs."""
    traffic.paths = ()
    world.clock.advance(14)
    assert "windows of 2 s had jobs on concurrent, 6 are needed" in refused(world, a_drill())


def test_a_blast_radius_larger_than_the_scope_is_refused(world: World, traffic: Traffic) -> None:
    """Four jobs a second for ten seconds are about forty."""
    said = refused(world, a_drill(blast_radius_jobs=60))
    assert "its blast radius of 60 jobs is larger than the scope, which carries about 4" in said


@pytest.mark.parametrize(("resource", "fault"), [(NAME, Fault.RAISE), (LEDGER, Fault.LOCK)])
def test_two_drills_on_one_resource_are_refused(
    world: World, traffic: Traffic, resource: str, fault: Fault
) -> None:
    """The second waits for the end of the first; a lock takes the whole ledger."""
    world.runtime.plans.reserve(resource, "another", timedelta(hours=1))
    said = refused(world, a_drill(fault=fault, fault_s=1))
    assert "a drill that is about to begin has" in said
    world.runtime.plans.release(resource, "another")
    assert run(world, a_drill(blast_radius_jobs=1)).scores


def test_a_runner_that_was_paused_for_too_long_ends(world: World, traffic: Traffic) -> None:
    """Another drill has its place; what is measured from then on would be of both."""
    plans = world.runtime.plans

    def taken_over() -> None:
        held = plans.reserve(NAME, "asks", timedelta(seconds=1))
        assert held is not None
        plans.release(NAME, held.owner)
        assert plans.reserve(NAME, "f" * 32, timedelta(seconds=60)) is None

    at(world, 12, taken_over, traffic)
    with pytest.raises(DrillRefused, match="its runner was silent for over 30 s, and a drill that"):
        run(world, a_drill())
    assert journal(world)[-1].facts["result"] == "refused"
    assert world.ledger.recoveries(NAME, NOW) == []
    assert plans.reserve(NAME, "asks", timedelta(seconds=1)) is not None, "the other one keeps it"


def test_a_planted_fault_is_not_replaced(world: World, traffic: Traffic) -> None:
    """A second plan on the same sub-pipeline is refused by the store itself."""
    until = world.clock.now() + timedelta(hours=1)
    other = FaultPlan("other", NAME, (C,), Fault.DELAY, until, 1)
    world.runtime.plans.plant(other, timedelta(hours=1))
    with pytest.raises(DrillRefused, match="a fault is planted here"):
        world.runtime.drills(None).run(a_drill(), C)
    assert world.runtime.plans.planted(NAME) == other
    assert journal(world)[-1].facts["result"] == "refused"
    assert spans(world) == [(world.clock.now(), world.clock.now())]


def test_an_unsafe_sub_pipeline_is_refused(world: World) -> None:
    """A fault that repeats a job must not meet one that may not be repeated."""
    world.declare("unsafe")
    assert "its effects are 'unsafe'" in refused(world, a_drill())


def test_a_store_that_goes_away_leaves_no_stub(world: World, traffic: Traffic) -> None:
    """The server that answers errors ends when the fault cannot be planted."""
    runtime = world.runtime
    stopped: list[bool] = []

    def stub() -> tuple[str, Callable[[], None]]:
        world.control.reachable = False
        return "http://stub", lambda: stopped.append(True)

    drill = a_drill(fault=Fault.DOWNSTREAM)
    injector = FaultInjector(drill, runtime.plans, runtime.clock, stub)
    with pytest.raises(ControlStoreUnreachable):
        injector.on("d1", C, runtime.clock.now() + timedelta(seconds=10))
    assert stopped == [True]


def test_an_absent_store_starts_nothing(world: World, traffic: Traffic) -> None:
    """Without the store no fault can be planted, and none was noted as begun."""
    world.control.reachable = False
    with pytest.raises((DrillRefused, ControlStoreUnreachable)):
        run(world, a_drill(paths=(L,)))
    world.control.reachable = True
    assert world.ledger.drills(None, 10) == []


# Ending ------------------------------------------------------------------------------------


def test_no_more_jobs_are_hurt_than_the_blast_radius(world: World, traffic: Traffic) -> None:
    """The fault goes off when its limit is reached, long before its duration is over."""
    began = world.clock.now()
    score = score_of(world, a_drill(blast_radius_jobs=5))
    assert score.jobs_hurt == 5
    off = next(e for e in journal(world) if e.what == "fault off")
    assert off.facts["why"] == "it has hurt as many jobs as it may"
    assert off.at - began < timedelta(seconds=5)


def test_the_deadline_ends_a_drill_that_does_not_heal(world: World, traffic: Traffic) -> None:
    """The recovery time is cut at the cap, open jobs count as lost, and it is over."""
    at(world, 3, lambda: traffic.stalled.update(BOTH), traffic)
    drill = a_drill(deadline_s=20, abort=Abort(other_path_windows=None))
    began = world.clock.now()
    score = score_of(world, drill)
    assert score.result is Result.NOT_HEALED
    assert score.recovery_s == 20
    assert score.jobs_lost > 0
    assert world.clock.now() - began < timedelta(seconds=22)
    (kept,) = world.ledger.recoveries(NAME, NOW)
    assert (kept.seconds, kept.recovered_at, kept.jobs_lost) == (20, None, score.jobs_lost)


def aborted(world: World, drill: Drill) -> str:
    """A drill that is broken off keeps no recovery time and leaves no fault."""
    score = score_of(world, drill)
    assert score.result is Result.ABORTED, score
    assert world.ledger.recoveries(NAME, NOW) == []
    assert whats(world)[-1] == "ended"
    assert score.jobs_lost == 0
    return score.sentence


def test_a_kill_ends_a_drill(world: World, traffic: Traffic) -> None:
    """And no job is hurt after it."""
    at(world, 3, lambda: world.runtime.changes.kill(NAME, "ada", "stop"), traffic)
    assert "a kill ends every drill" in aborted(world, a_drill())
    killed_at = next(
        record.at for record in world.ledger.transitions(NAME, 5) if record.event is Event.KILL
    )
    hurt = world.ledger.drilled_jobs(journal(world)[0].drill_id)
    assert all(record.accepted_at <= killed_at for record in hurt)


def test_a_revert_ends_a_drill(world: World, traffic: Traffic) -> None:
    """A path without jobs cannot be measured; the journal has the revert."""
    change = world.runtime.changes.change
    at(world, 3, lambda: change(NAME, Event.REVERT, "controller", "regress"), traffic)
    assert "changed under the drill" in aborted(world, a_drill())
    assert "reverted" in whats(world)


def test_a_stop_ends_a_drill(world: World, traffic: Traffic) -> None:
    """`rollout drill stop` takes the plan away, and the runner sees that."""
    at(world, 3, lambda: world.runtime.drills(None).stop(NAME), traffic)
    assert "somebody stopped it" in aborted(world, a_drill())


def test_too_many_failures_end_a_drill(world: World, traffic: Traffic) -> None:
    """The limit on failed jobs of one window."""
    assert "failed_share_max" in aborted(world, a_drill(abort=Abort(failed_share_max=0.5)))


def test_too_many_waiting_jobs_end_a_drill(world: World, traffic: Traffic) -> None:
    """The limit on unfinished jobs, which then go on."""

    def stall() -> None:
        traffic.stalled.add(L)

    at(world, 1, stall, traffic)
    at(world, 14, traffic.stalled.clear, traffic)
    limit = Abort(waiting_jobs_max=20, other_path_windows=None)
    assert "waiting_jobs_max" in aborted(world, a_drill(abort=limit))


def test_a_suffering_other_path_ends_a_drill(world: World, traffic: Traffic) -> None:
    """Legacy has its own jobs to do: when it leaves its band, the drill ends."""
    at(world, 1, lambda: traffic.stalled.add(L), traffic)
    at(world, 14, traffic.stalled.clear, traffic)
    said = aborted(world, a_drill(abort=Abort(other_path_windows=2)))
    assert "the other path was outside its band 2 windows" in said


def test_hurt_jobs_over_the_blast_radius_end_a_drill(world: World, traffic: Traffic) -> None:
    """Should a store miscount, the runner counts, too."""
    take = world.control.take

    def generous(plan: FaultPlan, job_id: str, node: str) -> bool:
        return take(replace(plan, jobs_max=1000), job_id, node)

    world.control.take = generous  # type: ignore[method-assign]
    traffic.world.clock.advance(1)
    # Several are hurt between two looks.
    assert "over the blast radius" in aborted(world, a_drill(blast_radius_jobs=1))


def test_ctrl_c_leaves_no_fault(world: World, traffic: Traffic) -> None:
    """The fault is off, the lease is free and the journal says who ended it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    at(world, 3, interrupt, traffic)
    with pytest.raises(KeyboardInterrupt):
        run(world, a_drill())
    traffic.also.clear()
    assert journal(world)[-1].facts["sentence"] == "Broken off: a person interrupted it."
    assert world.runtime.plans.reserve(NAME, "next", timedelta(seconds=1)) is None


def test_a_dead_runner_leaves_no_fault(world: World, traffic: Traffic) -> None:
    """The plan is forgotten at its end by the store, and its span ends at the deadline."""
    began = world.clock.now()

    def die(*args: Any) -> None:
        raise SystemExit

    drills = world.runtime.drills(None)
    world.control.unplant = die  # type: ignore[method-assign, assignment]
    traffic.also.append(die)
    with pytest.raises(SystemExit):
        drills.run(a_drill(), C)
    traffic.also.clear()
    assert world.control.planted(NAME) is not None
    world.clock.advance(10)
    assert world.control.planted(NAME) is None
    assert spans(world) == [(began, began + timedelta(seconds=60))]


def test_an_absent_ledger_does_not_stop_the_watch(world: World, traffic: Traffic) -> None:
    """The fault still ends in time, and the journal is complete when the ledger is back."""
    at(world, 3, lambda: world.line.cut("drilled_jobs", "append_drill", times=12), traffic)
    score = score_of(world, a_drill())
    assert score.result is Result.HEALED
    assert whats(world)[:3] == ["declared", "steady", "fault on"]
    assert whats(world)[-1] == "ended"


def test_a_ledger_that_is_away_at_the_end_is_waited_for(world: World, traffic: Traffic) -> None:
    """The last lines of the journal are not lost, nor is the result."""
    at(world, 12, lambda: world.line.cut("append_drill", times=40), traffic)
    score = score_of(world, a_drill())
    assert score.result is Result.HEALED
    assert whats(world)[-1] == "ended"
    assert len(world.ledger.recoveries(NAME, NOW)) == 1


# The kill switch ---------------------------------------------------------------------------


def a_kill_drill(**values: Any) -> Drill:
    """The real switch, for five seconds."""
    given = {"fault": Exercise.KILL_SWITCH, "duration_s": 5, "blast_radius_jobs": 10, **values}
    return a_drill(**given)


def test_the_kill_switch_is_thrown_timed_and_lifted(world: World, traffic: Traffic) -> None:
    """Acknowledged, first start refused, last job handed back, rearmed, resumed."""
    score = score_of(world, a_kill_drill())
    assert score.result is Result.DONE
    assert score.more["starts_after_the_kill"] == 0
    assert score.more["acknowledged_s"] < 1
    assert score.more["first_start_refused_s"] <= score.more["last_handed_back_s"] <= 6
    assert 5 <= score.more["resumed_s"] <= 7
    assert score.jobs_hurt > 10
    assert (score.jobs_lost, score.effects_twice) == (0, 0)
    assert [record.event for record in world.ledger.transitions(NAME, 2)] == [
        Event.REARM,
        Event.KILL,
    ]
    assert not world.ledger.control(NAME).killed
    assert world.ledger.recoveries(NAME, NOW) == []
    assert len(world.ledger.drilled_jobs(score.drill_id)) == score.jobs_hurt


def test_a_kill_of_somebody_else_is_not_lifted(world: World, traffic: Traffic) -> None:
    """A person who pulls the switch during the drill means it."""
    at(world, 2, lambda: world.runtime.changes.kill(NAME, "ada", "fire"), traffic)
    score = score_of(world, a_kill_drill(deadline_s=20))
    assert score.result is Result.ABORTED
    assert world.ledger.control(NAME).killed
    assert "not rearmed" in whats(world)


def test_a_kill_in_the_last_moment_is_not_lifted(world: World, traffic: Traffic) -> None:
    """A person's kill that comes between the drill's look at its own and the rearm stays."""
    late: list[str] = []

    def kill(call: str) -> None:
        if call == "rearm" and not late:
            late.append(call)
            world.runtime.changes.kill(NAME, "ada", "fire")

    world.line.before = kill
    score = score_of(world, a_kill_drill(deadline_s=20))
    assert late
    assert score.result is Result.ABORTED
    assert world.ledger.control(NAME).killed
    assert world.control.read(NAME).killed


def test_a_kill_just_before_the_drills_own_is_not_lifted(world: World, traffic: Traffic) -> None:
    """A person's kill between the drill's checks and its own kill stays, though that is newer."""
    first: list[str] = []

    def kill(call: str) -> None:
        if call == "kill" and not first:
            first.append(call)
            world.runtime.changes.kill(NAME, "ada", "fire")

    world.line.before = kill
    score = score_of(world, a_kill_drill(deadline_s=20))
    assert first
    assert score.result is Result.ABORTED
    assert "not rearmed, somebody else had killed it just before" in score.sentence
    assert world.ledger.control(NAME).killed
    assert world.control.read(NAME).killed


def test_a_change_in_the_last_moment_keeps_nothing_killed(world: World, traffic: Traffic) -> None:
    """Another change than a kill there: the drill looks again, and lifts its own."""
    late: list[str] = []

    def freeze(call: str) -> None:
        if call == "rearm" and not late:
            late.append(call)
            world.runtime.changes.change(NAME, Event.FREEZE, "ada", "wait")

    world.line.before = freeze
    assert score_of(world, a_kill_drill()).result is Result.DONE
    assert not world.ledger.control(NAME).killed


def test_a_build_that_comes_under_a_drill_has_proved_nothing(
    world: World, traffic: Traffic
) -> None:
    """What was measured is the old build's, and compares nothing for the new one."""
    world.ledger.announce(NAME, C, "1")
    at(world, 3, lambda: world.ledger.announce(NAME, C, "2"), traffic)
    run(world, a_drill(paths=BOTH))
    assert {one.version for one in world.ledger.recoveries(NAME, NOW)} == {"1"}


def test_the_switch_is_not_thrown_at_a_large_scope(world: World, traffic: Traffic) -> None:
    """With more jobs on the path than the blast radius allows, nothing happens."""
    traffic.stalled.add(C)
    world.clock.advance(1)
    with pytest.raises(DrillRefused, match="over its blast radius of 2"):
        run(world, a_kill_drill(blast_radius_jobs=2))
    assert not world.ledger.control(NAME).killed
    assert journal(world)[-1].facts["result"] == "refused"


def test_ctrl_c_lifts_the_drills_own_kill(world: World, traffic: Traffic) -> None:
    """Whoever stops the drill does not leave everything on legacy."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    at(world, 2, interrupt, traffic)
    with pytest.raises(KeyboardInterrupt):
        run(world, a_kill_drill())
    assert not world.ledger.control(NAME).killed
    ended = journal(world)[-1]
    assert (ended.what, ended.facts["result"]) == ("ended", "aborted")
    assert ended.facts["sentence"] == "The switch was thrown; a person interrupted it."
    ((_, span_ended_at),) = spans(world)
    assert span_ended_at == world.clock.now(), "jobs from now on are evidence again"


class SmallTraffic(Traffic):
    """A job per path every quarter of an hour, a hundred a day."""

    due: datetime | None = None

    def _tick(self) -> None:
        now = self.world.clock.now()
        if self.due is None or now >= self.due:
            self.due = now + timedelta(minutes=15)
            super()._tick()


def test_the_first_drill_of_the_docs_runs_on_small_traffic(
    world: World, pipeline: SubPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred jobs a day are enough for it: it is not refused, hurts one job, and is healed."""
    monkeypatch.setattr("tests.traffic.TICK_S", 300.0)
    monkeypatch.setattr("rollout.drills.run.POLL_S_MAX", 60.0)
    page = Path(__file__).parents[2] / "docs" / "drills.md"
    block = page.read_text().partition("```toml\n")[2].partition("```")[0]
    drill = read_drill(tomllib.loads(block))
    world.control.beat("controller", timedelta(days=10))
    SmallTraffic(world, pipeline)
    world.clock.advance(86_400)
    score = score_of(world, drill)
    assert (score.result, score.jobs_hurt, score.jobs_lost) == (Result.HEALED, 1, 0)
