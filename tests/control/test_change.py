"""What people do: changes, kill in halves, rearm, recall."""

import pytest

from rollout.control.kill_log import BACK, kills_that_hold, reason_of
from rollout.errors import (
    IllegalTransition,
    LedgerUnreachable,
    ReasonMissing,
    ScopeOutOfRange,
    StaleRevision,
    UnknownSubPipeline,
)
from rollout.jobs.claims import Claim, JobState
from rollout.policy.policy import Policies, Policy
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, filing
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


def running(world: World, job_id: str) -> None:
    """A worker is at work on a concurrent job."""
    world.ledger.file([filing(job_id)])
    settings = world.runtime.settings
    claim = world.ledger.claim(
        NAME, job_id, C, Effects.COMMIT, "w1", world.clock.now(), settings.silent_after
    )
    assert isinstance(claim, Claim)


def test_a_change_is_in_the_store_at_once(world: World) -> None:
    """The next start sees it, without waiting for the controller."""
    world.declare()
    changed = world.runtime.changes.change(NAME, Event.SCOPE, "ada", "less", scope_bp=100)
    assert changed.not_projected is None
    assert world.control.read(NAME).state == changed.state == world.ledger.control(NAME)


def test_a_change_without_the_store_is_in_force_in_the_ledger(world: World) -> None:
    """The answer says why the store lags, and the next tick brings it up."""
    world.declare()
    world.control.reachable = False
    changed = world.runtime.changes.change(NAME, Event.SCOPE, "ada", "less", scope_bp=100)
    assert "did not answer" in str(changed.not_projected)
    world.control.reachable = True
    world.runtime.tick.turn()
    assert world.control.read(NAME).state == changed.state


def test_a_start_begins_at_the_policy_s_first_step_through_any_door(world: World) -> None:
    """Whoever calls the service gets it; the command line chooses nothing."""
    world.ledger.ensure(NAME, Effects.COMMIT, 500, world.clock.now())
    world.runtime.policies = Policies(default=Policy(ladder_bp=(2500, 9500)))
    assert world.runtime.changes.change(NAME, Event.START, "ada", "go").state.scope_bp == 2500


def test_a_start_without_a_step_is_refused(world: World) -> None:
    """Where the cap leaves no job, 1 % is not a way out; a scope that a person names is."""
    world.ledger.ensure(NAME, Effects.COMMIT, 500, world.clock.now())
    world.runtime.policies = Policies(default=Policy(scope_bp_max=0))
    with pytest.raises(IllegalTransition, match="while its policy leaves no step"):
        world.runtime.changes.change(NAME, Event.START, "ada", "go")
    assert world.ledger.control(NAME).scope_bp == 0
    changed = world.runtime.changes.change(NAME, Event.START, "ada", "go", scope_bp=50)
    assert changed.state.scope_bp == 50


def test_refused_changes_touch_neither_ledger_nor_store(world: World) -> None:
    """Every guard raises its own error and nothing moves."""
    world.declare()
    before = world.ledger.control(NAME)
    change = world.runtime.changes.change
    for event, error, given in (
        (Event.REVERT, ReasonMissing, {}),
        (Event.START, IllegalTransition, {}),
        (Event.SCOPE, ScopeOutOfRange, {"scope_bp": 10_001}),
        (Event.FREEZE, StaleRevision, {"seen_revision": 1}),
    ):
        with pytest.raises(error):
            change(NAME, event, "ada", "  ", **given)
    with pytest.raises(UnknownSubPipeline):
        change("invoice", Event.FREEZE, "ada", "")
    world.line.cut("change")
    with pytest.raises(LedgerUnreachable):
        change(NAME, Event.FREEZE, "ada", "")
    assert world.ledger.control(NAME) == before == world.control.read(NAME).state


def test_a_kill_reports_what_is_now_true(world: World) -> None:
    """Both halves with their times, and where the jobs are."""
    world.declare()
    world.ledger.file([filing(f"queued-{number}") for number in range(3)])
    running(world, "running-1")
    report = world.runtime.changes.kill(NAME, "ada", "errors")
    assert report.complete
    assert report.holds
    assert report.names == (NAME,)
    assert (report.starts_blocked_ms, report.commits_fenced_ms) == (0, 0)
    assert (report.queued_sent_back, report.running_abandoned, report.unsafe_finishing) == (3, 1, 0)
    assert sorted(world.queues.sent) == ["queued-0", "queued-1", "queued-2", "running-1"]
    assert world.control.read(NAME).killed
    assert world.ledger.control(NAME).killed
    record = world.ledger.transitions(NAME, 1)[0]
    assert (record.event, record.actor, record.reason) == (Event.KILL, "ada", "errors")


@pytest.mark.parametrize("call", ["kill", "recall"])
def test_a_kill_reports_the_jobs_it_stopped_whoever_moves_them(world: World, call: str) -> None:
    """A controller that ticks in the middle fences or moves first; the report is the same."""
    world.declare()
    world.ledger.file([filing("queued")])
    running(world, "running")

    def tick_once(name: str) -> None:
        if name == call:
            world.line.before = lambda name: None
            world.runtime.tick.turn()

    world.line.before = tick_once
    report = world.runtime.changes.kill(NAME, "ada", "errors")
    assert sorted(world.queues.sent) == ["queued", "running"]
    assert (report.queued_sent_back, report.running_abandoned, report.unsafe_finishing) == (1, 1, 0)


def test_a_second_kill_reports_what_is_left(world: World) -> None:
    """Jobs that the first one stopped are not told again."""
    world.declare()
    world.ledger.file([filing("queued")])
    world.runtime.changes.kill(NAME, "ada", "errors")
    report = world.runtime.changes.kill(None, "bob", "to be sure")
    assert (report.queued_sent_back, report.running_abandoned, report.unsafe_finishing) == (0, 0, 0)


def test_a_kill_blocks_starts_before_it_asks_the_ledger(world: World) -> None:
    """The faster half does not wait for a database that hangs."""
    world.declare()
    seen = []

    def look(name: str) -> None:
        seen.append(world.control.read(NAME).killed)

    world.line.before = look
    world.runtime.changes.kill(NAME, "ada", "errors")
    assert seen
    assert all(seen)


def test_a_kill_needs_a_reason_and_a_name_that_exists(world: World) -> None:
    """A mistake changes nothing, and leaves no latch behind."""
    world.declare()
    for reason in ("", "  "):
        with pytest.raises(ReasonMissing):
            world.runtime.changes.kill(NAME, "ada", reason)
    with pytest.raises(UnknownSubPipeline, match="did you mean 'invoices'"):
        world.runtime.changes.kill("invoice", "ada", "errors")
    assert world.control.latches() == []
    assert not world.ledger.control(NAME).killed


def test_a_kill_without_the_store_fences_commits(world: World) -> None:
    """The report names the missing half, the tick closes the gap."""
    world.declare()
    world.control.reachable = False
    report = world.runtime.changes.kill(NAME, "ada", "errors")
    assert report.holds
    assert not report.complete
    assert report.starts_blocked_ms is None
    assert "did not answer" in str(report.store_error)
    assert world.ledger.control(NAME).killed
    world.control.reachable = True
    assert not world.control.read(NAME).killed
    assert world.runtime.tick.turn().errors == []
    (latch,) = world.control.latches()
    assert (latch.kill_id, latch.actor, latch.reason) == (report.kill.kill_id, "ada", "errors")


@pytest.mark.parametrize("name", [NAME, None])
def test_a_kill_without_the_ledger_blocks_starts(world: World, name: str | None) -> None:
    """The tick fences later with the same kill, and brings the jobs back."""
    world.declare()
    world.ledger.file([filing("queued")])
    world.line.cut()
    report = world.runtime.changes.kill(name, "ada", "errors")
    assert report.holds
    assert not report.complete
    assert report.commits_fenced_ms is None
    assert report.starts_blocked_ms is not None
    assert world.runtime.submit.decide(NAME, "7").path is L
    world.line.mend()
    assert not world.ledger.control(NAME).killed
    turn = world.runtime.tick.turn()
    assert turn.recalled == 1
    state = world.ledger.control(NAME)
    assert (state.killed, state.kill_id) == (True, report.kill.kill_id)
    assert world.queues.sent == ["queued"]
    assert world.ledger.transitions(NAME, 1)[0].reason == "errors"


def test_a_kill_without_either_half_says_so(world: World) -> None:
    """Nothing holds, and the report does not claim it."""
    world.declare()
    world.line.cut()
    world.control.reachable = False
    report = world.runtime.changes.kill(NAME, "ada", "errors")
    assert not report.holds


def test_a_kill_without_the_broker_holds_and_the_sweeper_sends(world: World) -> None:
    """Both halves hold; the jobs that could not be sent are sent when they count as lost."""
    world.declare()
    world.ledger.file([filing("queued")])
    world.queues.away = True
    report = world.runtime.changes.kill(NAME, "ada", "errors")
    assert report.complete
    assert "broker" in str(report.broker_error)
    assert world.job("queued").path is L
    world.queues.away = False
    world.clock.advance(31)
    assert world.runtime.tick.turn().resent_lost == 1
    assert world.queues.sent == ["queued"]


def test_many_queued_jobs_are_all_sent_back(world: World) -> None:
    """More than one batch."""
    world.declare()
    world.ledger.file([filing(f"job-{number}") for number in range(1_203)])
    assert world.runtime.changes.kill(NAME, "ada", "errors").queued_sent_back == 1_203
    assert len(set(world.queues.sent)) == 1_203


def test_a_rearm_puts_in_force_again_what_the_kill_covered(world: World) -> None:
    """Latches are gone from both sides and the scope is the old one."""
    world.declare()
    world.runtime.changes.kill(NAME, "ada", "errors")
    (changed,) = world.runtime.changes.rearm(NAME, "bob", "fixed")
    assert changed.not_projected is None
    assert changed.state.scope_bp == 10_000
    assert world.control.latches() == []
    world.clock.advance(2)
    assert world.runtime.submit.decide(NAME, "7").path is C
    with pytest.raises(IllegalTransition):
        world.runtime.changes.rearm(NAME, "bob", "again")
    with pytest.raises(ReasonMissing):
        world.runtime.changes.rearm(NAME, "bob", "")


def test_a_rearm_of_all_lifts_every_latch(world: World) -> None:
    """Also those that a tick has set for single names."""
    world.declare()
    world.declare(name="bills")
    world.runtime.changes.kill(None, "ada", "fire")
    world.runtime.tick.turn()
    assert len(world.control.latches()) == 3
    changed = world.runtime.changes.rearm(None, "ada", "over")
    assert {one.state.name for one in changed} == {NAME, "bills"}
    assert world.control.latches() == []
    assert world.runtime.tick.turn().errors == []
    assert not any(state.killed for state in world.ledger.controls())


def test_a_rearm_without_the_store_is_closed_until_the_tick(world: World) -> None:
    """In doubt legacy: the latch that could not be lifted holds, then the tick lifts it."""
    world.declare()
    world.runtime.changes.kill(NAME, "ada", "errors")
    world.control.reachable = False
    (changed,) = world.runtime.changes.rearm(NAME, "ada", "fixed")
    assert changed.not_projected is not None
    world.control.reachable = True
    assert world.control.read(NAME).killed
    world.runtime.tick.turn()
    assert world.control.latches() == []
    assert not world.ledger.control(NAME).killed


def test_a_kept_failure_is_sent_again_by_hand(world: World) -> None:
    """A broker that is away is named; the sweeper sends then."""
    world.declare()
    world.ledger.file([filing()])
    world.ledger.fail(NAME, "job-1", None, None, "boom", world.clock.now())
    world.queues.away = True
    assert "broker" in str(world.runtime.changes.retry("job-1"))
    assert world.job().state is JobState.ACCEPTED
    with pytest.raises(IllegalTransition):
        world.runtime.changes.retry("job-1")
    assert Reason.RETRIED_BY_HAND in world.job().way


def test_a_kill_that_an_alert_repeats_is_still_the_first_one_s(world: World) -> None:
    """Who killed, and why, are told of the first, however often it came again since."""
    world.declare()
    kill = world.runtime.changes.kill
    kill(NAME, "ada", "an older kill")
    world.runtime.changes.rearm(NAME, "ada", "mended")
    world.runtime.changes.change(NAME, Event.FREEZE, "ada", "wait")
    kill(NAME, "ben", "wrong totals")
    for _ in range(3 * BACK):
        kill(NAME, "alertmanager", "alert InvoicesWrong")
    kills = kills_that_hold(world.ledger, NAME)
    assert (kills[-1].actor, reason_of(kills)) == ("ben", "wrong totals")
    assert len(kills) == 1 + 3 * BACK
