"""The controller's turn: kills in both directions, projections, lost and silent jobs, the beat."""

from datetime import timedelta

import pytest

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.controller.lost import LOOKS_S
from rollout.errors import UnknownJob
from rollout.jobs.claims import Claim, JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import Kill
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of, running
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


def lose_memory(control: MemoryControlStore) -> None:
    """The store is restarted empty."""
    control._states.clear()
    control._kills.clear()
    control._supervised_until = None


def test_a_turn_without_work_beats_and_reports_nothing(world: World) -> None:
    """The state is projected and the gate is open for the supervision time."""
    world.declare()
    lose_memory(world.control)
    report = world.runtime.tick.turn()
    assert report.errors == []
    assert [state.name for state in report.states] == [NAME]
    assert world.control.read(NAME).state == world.ledger.control(NAME)
    assert world.runtime.submit.decide(NAME, "7").path is C
    world.clock.advance(world.runtime.settings.supervision_s)
    assert world.runtime.submit.decide(NAME, "7").reason is Reason.UNSUPERVISED


@pytest.mark.parametrize("call", ["all_latch", "controls", "*"])
def test_no_beat_without_the_ledger(world: World, call: str) -> None:
    """A controller that cannot read the truth does not vouch for its copy."""
    world.declare()
    lose_memory(world.control)
    world.line.cut(call)
    report = world.runtime.tick.turn()
    assert len(report.errors) == 1
    assert not world.control.read(NAME).supervised


def test_a_turn_without_the_store_still_sweeps(world: World) -> None:
    """Jobs are brought home although nothing can be projected."""
    world.declare()
    world.ledger.file([filing()])
    world.clock.advance(31)
    world.control.reachable = False
    report = world.runtime.tick.turn()
    assert len(report.errors) == 1
    assert report.resent_lost == 1
    assert world.queues.sent == ["job-1"]


def test_a_store_that_lost_its_memory_gets_latches_and_states_back(world: World) -> None:
    """Before the beat opens the gate, the kills of one and of all are there again."""
    world.declare()
    world.declare(name="bills")
    world.runtime.changes.kill(NAME, "ada", "errors")
    world.runtime.tick.turn()
    kills = world.control.latches()
    lose_memory(world.control)
    world.runtime.tick.turn()
    assert world.control.latches() == kills
    assert world.runtime.submit.decide(NAME, "7").reason is Reason.KILLED
    assert world.runtime.submit.decide("bills", "7").path is C
    world.runtime.changes.kill(None, "bob", "fire")
    lose_memory(world.control)
    world.runtime.tick.turn()
    assert world.runtime.submit.decide("bills", "7").path is C  # a snapshot of up to a second
    world.clock.advance(2)
    assert world.runtime.submit.decide("bills", "7").reason is Reason.KILLED_ALL


def test_a_kill_that_reached_the_store_only_is_fenced(world: World) -> None:
    """The turn gives the ledger the same kill."""
    world.declare()
    world.control.latch(kill_of())
    world.runtime.tick.turn()
    state = world.ledger.control(NAME)
    assert (state.killed, state.kill_id) == (True, "kill-1")
    world.runtime.tick.turn()
    assert world.ledger.control(NAME) == state


def test_a_kill_that_reached_the_ledger_only_is_latched(world: World) -> None:
    """The turn gives the store the same kill."""
    world.declare()
    kill = kill_of(at=world.clock.now())
    world.ledger.kill(kill)
    world.runtime.tick.turn()
    assert world.control.latches() == [kill]


@pytest.mark.parametrize("name", [NAME, None])
def test_a_rearm_that_died_halfway_is_finished(world: World, name: str | None) -> None:
    """The ledger was rearmed, the latch was left: the turn lifts it and does not kill again."""
    world.declare()
    world.runtime.changes.kill(name, "ada", "errors")
    world.runtime.tick.turn()
    world.ledger.rearm(name, "ada", "fixed", world.clock.now())
    world.runtime.tick.turn()
    assert world.control.latches() == []
    assert not world.ledger.control(NAME).killed
    world.clock.advance(2)
    assert world.runtime.submit.decide(NAME, "7").path is C


def test_a_rearm_during_a_turn_stands(world: World) -> None:
    """The turn has read the rows before the kill and lists the latch before it is lifted."""
    world.declare()
    changes = world.runtime.changes

    def kill_and_rearm(name: str) -> None:
        if name == "kill":
            world.line.before = lambda name: None
            world.ledger.kill(kill_of())
            world.ledger.rearm(NAME, "ada", "fixed", world.clock.now())

    world.control.latch(kill_of())
    world.line.before = kill_and_rearm
    world.runtime.tick.turn()
    assert not world.ledger.control(NAME).killed
    assert changes is world.runtime.changes


def test_a_rearm_between_two_reads_of_a_turn_leaves_no_latch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the rearm has just lifted is not taken for a latch that the store has lost."""
    world.declare()
    world.runtime.changes.kill(NAME, "ada", "errors")
    read = world.control.latches

    def rearm_first() -> list[Kill]:
        if world.ledger.control(NAME).killed:
            world.runtime.changes.rearm(NAME, "ada", "fixed")
        return read()

    monkeypatch.setattr(world.control, "latches", rearm_first)
    world.runtime.tick.turn()
    assert read() == []
    assert world.control.read(NAME).state == world.ledger.control(NAME)


def test_a_latch_for_nobody_harms_nobody(world: World) -> None:
    """A name that the ledger does not know stays latched and stops nothing else."""
    world.declare()
    world.control.latch(kill_of("ghost"))
    assert world.runtime.tick.turn().errors == []
    assert world.runtime.submit.decide(NAME, "7").path is C


@pytest.mark.parametrize("effects", ["commit", "unsafe"])
def test_a_revert_recalls_waiting_jobs_and_lets_running_ones_finish(
    world: World, effects: str
) -> None:
    """Queued concurrent jobs go to legacy with the stage as reason."""
    world.declare(effects)
    world.ledger.file([filing("queued"), filing("running")])
    after = timedelta(seconds=30)
    world.ledger.claim(NAME, "running", C, Effects(effects), "w", world.clock.now(), after)
    world.runtime.changes.change(NAME, Event.REVERT, "ada", "slower")
    assert world.runtime.tick.turn().recalled == 1
    assert world.queues.sent == ["queued"]
    assert world.job("running").state is JobState.STARTED


def test_a_long_queue_is_not_taken_for_a_lost_one(world: World) -> None:
    """What was sent after the next message, or is in a worker's hands, is not lost."""
    world.declare()
    tick = world.runtime.tick
    for number in range(5):
        world.ledger.file([filing(f"job-{number}", at=world.clock.now())])
        world.clock.advance(40)
    world.queues.next_up = {C: "job-0"}
    assert tick.turn().unaccounted == {NAME: 0}
    world.queues.next_up = {C: "job-2"}
    world.queues.hands = frozenset({"job-0"})
    report = tick.turn()
    assert (report.resent_lost, report.unaccounted) == (1, {NAME: 1})
    assert world.queues.sent == ["job-1"]


def test_messages_published_in_another_order_than_dated_are_not_lost(world: World) -> None:
    """A kill dates a whole queue at once and publishes it while others submit."""
    world.declare()
    tick = world.runtime.tick
    moved = world.clock.now()
    world.ledger.file([filing(f"moved-{number}", L, at=moved) for number in range(5)])
    world.clock.advance(20)
    world.ledger.file([filing("between", L, at=world.clock.now())])
    world.clock.advance(100)
    world.queues.next_up = {L: "between"}  # and some of those that were moved behind it
    assert tick.turn().unaccounted == {NAME: 0}
    world.queues.next_up = {}
    assert tick.turn().resent_lost == 6


def test_one_lost_message_is_found_under_steady_traffic(world: World) -> None:
    """However many other messages wait, the one that no queue holds is sent again."""
    world.declare()
    world.ledger.file([filing("lost", at=world.clock.now())])
    world.clock.advance(60)
    world.ledger.file([filing(f"job-{number}", at=world.clock.now()) for number in range(5)])
    world.queues.next_up, world.queues.waiting = {C: "job-0"}, {C: 5}
    world.clock.advance(31)
    assert world.runtime.tick.turn().resent_lost == 1
    assert world.queues.sent == ["lost"]


def test_a_broker_that_cannot_be_looked_into_is_counted(world: World) -> None:
    """Nothing counts as lost while anything waits there; a broker that is away says nothing."""
    world.declare()
    world.ledger.file([filing(f"job-{number}") for number in range(3)])
    world.clock.advance(31)
    world.queues.hands, world.queues.waiting = None, {C: 1}
    assert world.runtime.tick.turn().resent_lost == 0
    world.queues.away = True
    report = world.runtime.tick.turn()
    assert (report.resent_lost, len(report.errors)) == (0, 1)
    world.queues.away, world.queues.waiting = False, {}
    world.clock.advance(LOOKS_S)
    assert world.runtime.tick.turn().resent_lost == 0, "the first look saw messages"
    world.clock.advance(LOOKS_S)
    assert world.runtime.tick.turn().resent_lost == 3


def test_silent_workers_jobs_are_sent_to_legacy(world: World) -> None:
    """Those that were renewed stay."""
    world.declare()
    world.runtime.tick.turn()
    world.ledger.file([filing("silent"), filing("heard")])
    for job_id in ("silent", "heard"):
        world.ledger.claim(
            NAME, job_id, C, Effects.COMMIT, "w", world.clock.now(), timedelta(seconds=30)
        )
    world.clock.advance(31)
    world.ledger.renew([running("heard", "w")], world.clock.now())
    assert world.runtime.tick.turn().resent_silent == 1
    assert world.queues.sent == ["silent"]
    assert world.job("silent").fallback_reason is Reason.WORKER_LOST


def test_an_outage_of_the_ledger_is_not_taken_for_dead_workers(world: World) -> None:
    """Nobody could renew while it was away, so silence counts from its return."""
    world.declare()
    tick = world.runtime.tick
    tick.turn()
    world.ledger.file([filing()])
    silent_after = timedelta(seconds=30)
    world.ledger.claim(NAME, "job-1", C, Effects.COMMIT, "w", world.clock.now(), silent_after)
    world.line.cut()
    world.clock.advance(40)
    assert tick.turn().errors != []
    world.line.mend()
    world.clock.advance(1)
    assert tick.turn().resent_silent == 0
    world.ledger.renew([running("job-1", "w")], world.clock.now())
    world.clock.advance(29)
    assert tick.turn().resent_silent == 0
    world.clock.advance(2)
    assert tick.turn().resent_silent == 1


def test_a_stepped_clock_is_not_taken_for_dead_workers(world: World) -> None:
    """By a clock that is ahead every running job looks silent; it has until it renews again."""
    world.declare()
    tick = world.runtime.tick
    tick.turn()
    world.ledger.file([filing()])
    silent_after = timedelta(seconds=30)
    world.ledger.claim(NAME, "job-1", C, Effects.COMMIT, "w", world.clock.now(), silent_after)
    world.clock.advance(31)
    world.ledger.renew([running("job-1", "w")], world.clock.now())
    world.clock.step(3600)
    assert tick.turn().resent_silent == 0
    world.clock.advance(29)
    assert tick.turn().resent_silent == 0
    world.clock.advance(2)
    assert tick.turn().resent_silent == 1


@pytest.mark.parametrize("state", [JobState.ACCEPTED, JobState.STARTED])
def test_a_job_dated_by_a_clock_ahead_is_found_when_it_is_lost(
    world: World, state: JobState
) -> None:
    """Its producer or worker was an hour ahead; nobody waits until the others get there."""
    world.declare()
    tick = world.runtime.tick
    tick.turn()
    ahead = world.clock.now() + timedelta(hours=1)
    world.ledger.file([filing(at=ahead)])
    if state is JobState.STARTED:
        world.ledger.claim(NAME, "job-1", C, Effects.COMMIT, "w", ahead, timedelta(seconds=30))
    assert tick.turn().errors == []
    world.clock.advance(29)
    report = tick.turn()
    assert (report.resent_lost, report.resent_silent) == (0, 0)
    world.clock.advance(2)
    report = tick.turn()
    assert report.resent_lost + report.resent_silent == 1
    assert world.queues.sent == ["job-1"]


def test_a_job_whose_resending_failed_is_sent_by_a_later_turn(world: World) -> None:
    """Between the ledger's move and the broker's answer nothing is lost."""
    world.declare()
    world.ledger.file([filing()])
    world.clock.advance(31)

    def fall(name: str) -> None:
        world.queues.away = name == "resend_lost"

    world.line.before = fall
    assert world.runtime.tick.turn().errors != []
    world.line.before = lambda name: None
    world.queues.away = False
    assert world.queues.sent == []
    world.clock.advance(31)
    assert world.runtime.tick.turn().resent_lost == 1
    assert world.queues.sent == ["job-1"]


def test_finished_jobs_are_folded(world: World) -> None:
    """The turn counts them once, and open ones are reported."""
    pipeline = world.declare()
    world.deliver(pipeline)
    world.ledger.file([filing("open")])
    report = world.runtime.tick.turn()
    assert report.folded == 1
    assert [(count.path, count.jobs) for count in report.open_counts] == [(C, 1)]
    assert world.runtime.tick.turn().folded == 0
    status = world.status()
    assert (status.committed(C), status.committed(L), status.observed_bp) == (1, 0, 10_000)
    assert status.waiting(C, JobState.ACCEPTED) == 1


def finish(world: World, job_id: str, days: float) -> None:
    """Commit a job so many days after the world began."""
    world.ledger.file([filing(job_id)])
    at = NOW + timedelta(days=days)
    claim = world.ledger.claim(NAME, job_id, C, Effects.COMMIT, "w1", at, SILENT_AFTER)
    assert isinstance(claim, Claim)
    world.ledger.commit(claim, Effects.COMMIT, lambda connect: '"done"', at)


def test_old_committed_jobs_are_pruned(world: World) -> None:
    """What finished `keep` ago is deleted once it is counted; unfinished jobs stay."""
    world.declare()
    world.ledger.file([filing("open")])
    keep = world.runtime.settings.keep.days
    finish(world, "old", 0)
    finish(world, "young", 2)
    finish(world, "new", keep + 1)
    world.clock.advance(timedelta(days=keep + 1).total_seconds())
    assert world.runtime.tick.turn().pruned == 1
    with pytest.raises(UnknownJob):
        world.job("old")
    assert [world.job(job_id).state for job_id in ("open", "young", "new")]


def test_a_controller_with_a_clock_ahead_prunes_nothing_early(world: World) -> None:
    """A year ahead, it would delete everything; the workers' clocks say how late it is."""
    world.declare()
    finish(world, "old", 0)
    finish(world, "new", 1)
    world.clock.advance(timedelta(days=365).total_seconds())
    turns = [world.runtime.tick.turn() for _ in range(2)]
    assert [turn.pruned for turn in turns] == [0, 0]
    assert world.job("old").state is JobState.COMMITTED


def test_open_jobs_are_counted_once_and_again_when_the_turn_has_moved_some(world: World) -> None:
    """A turn of merely looking asks once; after a kill's recall it reports where the jobs are."""
    world.declare()
    world.ledger.file([filing("open")])
    world.line.trace.clear()
    world.runtime.tick.turn()
    assert world.line.trace.count("open_counts") == 1
    world.ledger.kill(kill_of(NAME))
    report = world.runtime.tick.turn()
    assert report.recalled == 1
    assert [(count.path, count.jobs) for count in report.open_counts] == [(L, 1)]
