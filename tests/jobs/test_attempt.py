"""One delivery, through everything that can go wrong on its way."""

import sys
from asyncio import CancelledError
from datetime import timedelta
from errno import ENOSPC
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest

from rollout.errors import JobFailed
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, ToLegacy, Wait
from rollout.jobs.ending import COMMIT_WAITS_S, commit_waits_s, describe
from rollout.jobs.interrupts import ProcessEnds
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, filing
from tests.world import Retry, World

L, C = JobPath.LEGACY, JobPath.CONCURRENT
WORDS = [str(effects) for effects in Effects]
REPEATABLE = [str(effects) for effects in Effects if effects.repeatable]


def boom(n: int) -> Any:
    """A path that fails."""
    raise ValueError("boom")


def broke(n: int) -> Any:
    """The other path's own failure."""
    raise KeyError("broke")


def leave(n: int) -> Any:
    """A path that calls sys.exit."""
    raise SystemExit(3)


@pytest.mark.parametrize("effects", WORDS)
@pytest.mark.parametrize("path", JobPath)
def test_a_healthy_delivery_commits_on_its_path(world: World, effects: str, path: JobPath) -> None:
    """The path runs once, the hook once, and the ledger has the result."""
    outcome = world.deliver(world.declare(effects), path=path)
    assert outcome == Done([str(path), 7])
    assert world.ran == [str(path)] + ["hook"] * (effects == "commit")
    assert (world.job().state, world.job().path) == (JobState.COMMITTED, path)


def close_gate(world: World, how: str) -> Reason:
    """Bring about one doubt; gives its reason."""
    match how:
        case "unreachable":
            world.control.reachable = False
        case "unknown":
            world.control._states.clear()
        case "unsupervised":
            world.clock.advance(timedelta(days=1).total_seconds())
        case "killed":
            world.runtime.changes.kill(NAME, "ada", "why")
        case "killed_all":
            world.runtime.changes.kill(None, "ada", "why")
        case "stage":
            world.runtime.changes.change(NAME, Event.REVERT, "ada", "why")
        case "out_of_scope":
            world.runtime.changes.change(NAME, Event.SCOPE, "ada", "none", scope_bp=0)
    return Reason(how)


DOUBTS = [
    "unreachable", "unknown", "unsupervised", "killed", "killed_all", "stage", "out_of_scope",
]  # fmt: skip


@pytest.mark.parametrize("how", DOUBTS)
@pytest.mark.parametrize("effects", WORDS)
def test_any_doubt_at_the_start_means_legacy(world: World, how: str, effects: str) -> None:
    """The concurrent path does not run; the job is moved with the reason and runs on legacy."""
    pipeline = world.declare(effects)
    reason = close_gate(world, how)
    assert world.deliver(pipeline) == ToLegacy(reason)
    assert world.ran == []
    assert (world.job().path, world.job().fallback_reason) == (L, None)
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])


@pytest.mark.parametrize("how", DOUBTS)
def test_any_doubt_at_submission_means_legacy(world: World, how: str) -> None:
    """Routing gives legacy with the same reason, and `run` works on."""
    pipeline = world.declare()
    reason = close_gate(world, how)
    decision = world.runtime.submit.decide(NAME, "7")
    assert (decision.path, decision.reason) == (L, reason)
    assert pipeline.run(n=7) == ["legacy", 7]


def test_legacy_asks_no_control_store(world: World) -> None:
    """A store that is away, killed or empty does not touch a legacy delivery."""
    pipeline = world.declare()
    world.control.reachable = False
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])


@pytest.mark.parametrize("effects", REPEATABLE)
@pytest.mark.parametrize("error", [boom, leave])
def test_a_failure_on_the_concurrent_path_falls_back(
    world: World, effects: str, error: Any
) -> None:
    """The job goes to legacy, which commits it; the fallback is counted."""
    pipeline = world.declare(effects, concurrent=error)
    assert world.deliver(pipeline) == ToLegacy(Reason.FAILED)
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])
    job = world.job()
    assert (job.state, job.fallback_reason, job.assigned_path) == (
        JobState.COMMITTED, Reason.FAILED, C,
    )  # fmt: skip
    assert world.status().fallbacks == 1


def test_whatever_a_path_raises_is_a_failure(world: World) -> None:
    """`asyncio.CancelledError` is no Exception: a job that ends in it would seem to run on."""

    def cancelled(n: int) -> Any:
        raise CancelledError

    pipeline = world.declare(concurrent=cancelled, legacy=cancelled)
    assert world.deliver(pipeline) == ToLegacy(Reason.FAILED)
    assert isinstance(world.deliver(pipeline, path=L), Failed)
    assert world.job().state is JobState.FAILED


@pytest.mark.parametrize("end", [KeyboardInterrupt(), ProcessEnds(SystemExit(-241))])
def test_what_ends_the_process_is_no_failure(world: World, end: BaseException) -> None:
    """A person's ctrl-C and a signal to the worker say nothing about the path."""

    def ended(n: int) -> Any:
        raise end

    with pytest.raises(type(end)):
        world.deliver(world.declare(concurrent=ended))
    assert world.job().state is JobState.STARTED


def test_a_time_limit_has_its_own_reason(world: World) -> None:
    """Celery's soft limit is told apart from other errors."""

    class SoftTimeLimitExceeded(Exception):
        """Named as billiard's."""

    def slow(n: int) -> Any:
        raise SoftTimeLimitExceeded

    assert world.deliver(world.declare(concurrent=slow)) == ToLegacy(Reason.TIME_LIMIT)


@pytest.mark.parametrize("effects", REPEATABLE)
def test_failing_on_both_paths_keeps_the_job_with_both_errors(world: World, effects: str) -> None:
    """The caller gets legacy's error; the row has both."""
    pipeline = world.declare(effects, concurrent=boom, legacy=broke)
    world.deliver(pipeline)
    outcome = world.deliver(pipeline, path=L)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, KeyError)
    assert world.job().state is JobState.FAILED
    assert world.job().error == "ValueError: boom\nKeyError: 'broke'"
    assert world.status().failed == 1


def test_an_unsafe_failure_is_kept_and_not_repeated(world: World) -> None:
    """There is no fallback for unsafe effects."""
    pipeline = world.declare("unsafe", concurrent=boom)
    assert isinstance(world.deliver(pipeline), Failed)
    assert world.job().state is JobState.FAILED
    again = world.deliver(pipeline, path=L)
    assert isinstance(again, Failed)
    assert isinstance(again.error, JobFailed)
    assert world.ran == ["concurrent"]


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(2), CancelledError()])
def test_a_hook_that_raises_falls_back_and_then_keeps(world: World, error: BaseException) -> None:
    """The hook's error is the path's error."""

    def hook(value: Any, job: Job) -> Any:
        raise error

    pipeline = world.declare(hook=hook)
    assert world.deliver(pipeline) == ToLegacy(Reason.FAILED)
    outcome = world.deliver(pipeline, path=L)
    assert isinstance(outcome, Failed)
    assert outcome.error is error
    assert world.job().state is JobState.FAILED


def test_a_result_that_json_cannot_carry_is_the_paths_failure(world: World) -> None:
    """The concurrent path gave something else than legacy would: legacy takes over."""
    pipeline = world.declare("none", concurrent=lambda n: object())
    assert world.deliver(pipeline) == ToLegacy(Reason.FAILED)
    assert "must be carried by JSON" in str(world.job().error)


def test_exceptions_of_the_queue_engine_pass_through(world: World) -> None:
    """A retry is the engine's; the attempt still holds the job until the new message is filed."""

    def retry(n: int) -> Any:
        raise Retry

    pipeline = world.declare(concurrent=retry)
    with pytest.raises(Retry):
        world.deliver(pipeline)
    assert world.job().state is JobState.STARTED


@pytest.mark.parametrize(
    "text", ["nul \x00 byte", "half \ud800 pair", "x" * 5_000], ids=["nul", "half", "long"]
)
def test_any_error_text_can_be_kept(world: World, text: str) -> None:
    """What an exception says can be stored: no NUL, no lone surrogate, not endless."""

    def odd(n: int) -> Any:
        raise ValueError(text)

    said = describe(ValueError(text))
    assert "\x00" not in said
    said.encode()
    assert len(said) <= 2_000
    assert world.deliver(world.declare(concurrent=odd)) == ToLegacy(Reason.FAILED)


def test_a_job_that_the_ledger_lacks_is_filed_by_its_worker(world: World) -> None:
    """An unfiled job is accepted late and takes its way as any other."""
    outcome = world.deliver(world.declare(), file=False)
    assert outcome == Done(["concurrent", 7])
    assert world.job().state is JobState.COMMITTED


def test_a_row_made_by_a_worker_has_the_declared_holdback(world: World) -> None:
    """When the first job is filed by a worker, the holdback is the declaration's, for good."""
    from rollout.pipeline import SubPipeline

    made = SubPipeline("bills", effects="none", key="n", runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    assert world.deliver(made, path=L, file=False) == Done(7)
    assert world.ledger.control("bills").holdback_bp == 500


# Kills under way -----------------------------------------------------------------------------


@pytest.mark.parametrize("effects", REPEATABLE)
def test_a_kill_while_running_hands_the_job_over_once(world: World, effects: str) -> None:
    """The kill has sent the job already, so the refused worker only drops its message."""

    def pull(n: int) -> Any:
        report = world.runtime.changes.kill(NAME, "ada", "why")
        assert report.running_abandoned == 1
        return "late"

    pipeline = world.declare(effects, concurrent=pull)
    assert isinstance(world.deliver(pipeline), Dropped)
    assert world.queues.sent == ["job-1"]
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])
    assert world.job().fallback_reason is None


def test_a_refused_commit_hands_over_itself_when_the_kill_could_not(world: World) -> None:
    """FENCED: the worker moves the job; of two movers one sends it."""

    def pull(n: int) -> Any:
        world.line.cut("recall")
        world.runtime.changes.kill(NAME, "ada", "why")
        world.line.mend()
        return "late"

    pipeline = world.declare(concurrent=pull)
    assert world.deliver(pipeline) == ToLegacy(Reason.FENCED)
    assert world.queues.sent == []
    assert world.runtime.tick.turn().recalled == 0
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])


def test_an_unsafe_job_may_finish_under_a_kill(world: World) -> None:
    """It commits on the concurrent path, and the report counts it."""
    unsafe = []

    def pull(n: int) -> Any:
        unsafe.append(world.runtime.changes.kill(NAME, "ada", "why").unsafe_finishing)
        return "done"

    assert world.deliver(world.declare("unsafe", concurrent=pull)) == Done("done")
    assert unsafe == [1]


def test_a_kill_between_gate_and_claim_is_seen_by_the_claim(world: World) -> None:
    """The gate said yes, then the kill came: the ledger says no and nothing runs."""
    pipeline = world.declare()

    def pull(name: str) -> None:
        if name == "claim":
            world.line.before = lambda name: None
            world.runtime.changes.kill(NAME, "ada", "why")

    world.line.before = pull
    outcome = world.deliver(pipeline)
    assert isinstance(outcome, Dropped | ToLegacy)
    assert world.ran == []
    assert world.queues.sent == ["job-1"]
    assert world.job().path is L


# Duplicates and dead workers -----------------------------------------------------------------


def test_a_duplicate_gives_the_recorded_outcome(world: World) -> None:
    """Nothing runs again, on whichever queue the copy comes."""
    pipeline = world.declare()
    world.deliver(pipeline)
    for path in (L, C):
        assert world.deliver(pipeline, path=path) == Done(["concurrent", 7], duplicate=True)
    assert world.ran == ["concurrent", "hook"]


def test_a_copy_beside_a_living_worker_is_dropped(world: World) -> None:
    """The job is busy until its worker has been silent for long enough."""
    copies: list[Any] = []

    def slow(n: int) -> Any:
        if not copies:
            copies.append(world.deliver(pipeline, worker="w2"))
            copies.append(world.deliver(pipeline, path=L, worker="w3"))
        return n

    pipeline = world.declare(concurrent=slow)
    assert world.deliver(pipeline) == Done(7)
    assert copies == [Dropped(Refusal.BUSY), Dropped(Refusal.BUSY)]


def start_and_die(world: World, job_id: str = "job-1") -> None:
    """A worker starts the job and is never heard of again."""
    world.ledger.file([filing(job_id, at=world.clock.now())])
    effects = Effects.COMMIT
    after = timedelta(seconds=30)
    world.ledger.claim(NAME, job_id, C, effects, "dead", world.clock.now(), after)
    world.clock.advance(30)


def test_a_redelivery_after_a_lost_worker_goes_to_legacy(world: World) -> None:
    """It counts as a failure of the concurrent path, with one death."""
    pipeline = world.declare()
    start_and_die(world)
    assert world.deliver(pipeline) == ToLegacy(Reason.WORKER_LOST)
    assert (world.job().deaths, world.job().fallback_reason) == (1, Reason.WORKER_LOST)
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])


def test_a_job_that_kills_two_workers_is_kept(world: World) -> None:
    """Poison: the second death on legacy ends it."""
    pipeline = world.declare()
    start_and_die(world)
    world.deliver(pipeline)
    world.ledger.claim(
        NAME, "job-1", L, Effects.COMMIT, "dead", world.clock.now(), timedelta(seconds=30)
    )
    world.clock.advance(30)
    outcome = world.deliver(pipeline, path=L)
    assert isinstance(outcome, Failed)
    assert "2 workers died" in str(outcome.error)
    assert world.job().state is JobState.FAILED
    assert world.ran == []


def test_a_parent_that_saw_its_child_die_moves_the_job(world: World) -> None:
    """No waiting for a redelivery; a stranger's death changes nothing."""
    pipeline = world.declare()
    start_and_die(world)
    job = Job("job-1", NAME, "7", C, 0)
    lost = world.attempts.worker_lost
    assert lost(pipeline.declared, job, "another", Reason.WORKER_LOST) == Dropped(Refusal.STALE)
    assert lost(pipeline.declared, job, "dead", Reason.WORKER_LOST) == ToLegacy(Reason.WORKER_LOST)
    assert lost(pipeline.declared, job, "dead", Reason.WORKER_LOST) == ToLegacy(Reason.WORKER_LOST)
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])
    assert lost(pipeline.declared, job, "dead", Reason.WORKER_LOST) == Done(
        ["legacy", 7], duplicate=True
    )
    world.line.cut()
    assert lost(pipeline.declared, job, "dead", Reason.TIME_LIMIT) == ToLegacy(Reason.TIME_LIMIT)


def test_a_dead_child_of_an_unsafe_job_keeps_it(world: World) -> None:
    """Nobody may repeat it."""
    pipeline = world.declare("unsafe")
    start_and_die(world)
    outcome = world.attempts.worker_lost(
        pipeline.declared, Job("job-1", NAME, "7", C, 0), "dead", Reason.WORKER_LOST
    )
    assert isinstance(outcome, Failed)
    assert world.job().state is JobState.FAILED


def test_a_job_that_its_path_forgets_is_done_without_a_result(world: World) -> None:
    """Celery's Ignore (a replaced task, say) is what the path said, no failure of the path."""

    def ignore(n: int) -> None:
        raise LookupError

    pipeline = world.declare(concurrent=ignore)
    attempts = world.runtime.attempts((LookupError,), (LookupError,))
    world.ledger.file([filing()])
    delivery = Delivery(Job("job-1", NAME, "7", C, 0, (), {"n": 7}), "w", filing)
    with pytest.raises(LookupError):
        attempts.run(pipeline.declared, delivery)
    assert world.job().state is JobState.COMMITTED
    assert world.ran == ["concurrent"]
    assert isinstance(attempts.run(pipeline.declared, delivery), Dropped)


def test_a_job_that_its_path_has_sent_again_goes_on_by_that_message(world: World) -> None:
    """Celery's Retry comes after the next message: only one raised by hand ends the job."""

    said: list[Exception] = [KeyError("a message has left"), LookupError("by hand")]

    def retry(n: int) -> None:
        raise said.pop(0)

    pipeline = world.declare(concurrent=retry)
    attempts = world.runtime.attempts(
        (LookupError,), (LookupError,), sent_again=lambda error: isinstance(error, KeyError)
    )
    world.ledger.file([filing()])
    delivery = Delivery(Job("job-1", NAME, "7", C, 0, (), {"n": 7}), "w", filing)
    with pytest.raises(KeyError):
        attempts.run(pipeline.declared, delivery)
    assert world.job().state is JobState.STARTED
    world.runtime.submit.release(filing(), 1)  # as the door does for that message
    with pytest.raises(LookupError):
        attempts.run(pipeline.declared, delivery)
    assert world.job().state is JobState.COMMITTED


def test_a_job_that_its_path_sends_back_waits_again(world: World) -> None:
    """Celery's Reject with requeue gives the message back: the next delivery may take the job."""

    def send_back(n: int) -> None:
        raise LookupError

    pipeline = world.declare(concurrent=send_back)
    attempts = world.runtime.attempts((LookupError,), (LookupError,), lambda said: True)
    world.ledger.file([filing()])
    delivery = Delivery(Job("job-1", NAME, "7", C, 0, (), {"n": 7}), "w", filing)
    for _ in range(2):
        with pytest.raises(LookupError):
            attempts.run(pipeline.declared, delivery)
        assert world.job().state is JobState.ACCEPTED
        assert world.job().path is C


# The ledger away at each step ----------------------------------------------------------------


@pytest.mark.parametrize("effects", WORDS)
def test_a_concurrent_start_without_a_ledger_goes_to_legacy(world: World, effects: str) -> None:
    """Without a recorded claim nothing runs concurrently."""
    pipeline = world.declare(effects)
    world.ledger.file([filing()])
    world.line.cut()
    assert world.deliver(pipeline) == ToLegacy(Reason.LEDGER_UNREACHABLE)
    assert world.ran == []


@pytest.mark.parametrize("effects", WORDS)
def test_a_legacy_start_without_a_ledger(world: World, effects: str) -> None:
    """It runs as before where a repeat does no harm, and waits where it would."""
    pipeline = world.declare(effects)
    world.line.cut()
    outcome = world.deliver(pipeline, path=L)
    if Effects(effects).needs_ledger:
        assert isinstance(outcome, Wait)
        assert world.ran == []
        world.line.mend()
        outcome = world.deliver(pipeline, path=L)
    assert outcome == Done(["legacy", 7])
    assert world.ran.count("legacy") == 1


def test_a_failure_on_legacy_without_a_ledger_is_the_callers(world: World) -> None:
    """As before rollout: the error is passed on."""
    pipeline = world.declare("none", legacy=boom)
    world.line.cut()
    assert isinstance(world.deliver(pipeline, path=L), Failed)


def test_jobs_come_back_to_a_ledger_at_moments_of_their_own() -> None:
    """Each waits about as long as the others, the same each time, and not in step with them."""
    for job_id in ("a", "b"):
        pauses = list(commit_waits_s(job_id))
        assert pauses == list(commit_waits_s(job_id))
        for pause, nominal in zip(pauses, COMMIT_WAITS_S, strict=True):
            assert 0.5 * nominal <= pause < 1.5 * nominal
    assert list(commit_waits_s("a")) != list(commit_waits_s("b"))


@pytest.mark.parametrize("effects", WORDS)
@pytest.mark.parametrize("path", JobPath)
def test_a_commit_waits_for_a_ledger_that_comes_back(
    world: World, effects: str, path: JobPath
) -> None:
    """The path runs once; the commit is tried until the ledger answers."""
    pipeline = world.declare(effects)
    world.line.cut("commit", times=3)
    assert world.deliver(pipeline, path=path) == Done([str(path), 7])
    assert world.clock.slept_s == list(commit_waits_s("job-1"))[:3]
    assert world.ran.count(str(path)) == 1


@pytest.mark.parametrize("effects", WORDS)
@pytest.mark.parametrize("path", JobPath)
def test_a_commit_whose_ledger_stays_away_loses_nothing(
    world: World, effects: str, path: JobPath
) -> None:
    """No hook runs unfenced; the sweeper brings the job to its outcome when the ledger is back."""
    pipeline = world.declare(effects)
    world.runtime.tick.turn()  # a controller that was there all the time
    world.line.cut("commit")
    outcome = world.deliver(pipeline, path=path)
    assert world.clock.slept_s == list(commit_waits_s("job-1"))
    assert "hook" not in world.ran
    if Effects(effects).needs_ledger or path is C:
        assert isinstance(outcome, Wait)  # the last try may have counted: the message tells it
    else:
        assert outcome == Done(["legacy", 7])
    world.line.mend()
    world.clock.advance(60)
    report = world.runtime.tick.turn()
    assert report.errors == []
    if effects == "unsafe":
        assert world.job().state is JobState.FAILED
        return
    assert world.queues.sent == ["job-1"]
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])
    assert world.job().state is JobState.COMMITTED


@pytest.mark.parametrize("call", ["hand_over", "fail"])
@pytest.mark.parametrize("effects", ["commit", "unsafe"])
def test_a_failure_that_cannot_be_recorded_is_still_an_outcome(
    world: World, call: str, effects: str
) -> None:
    """The message goes to legacy, or comes again: a caller hears what the ledger says in the end.

    Told an error that is not recorded, it would later find a result.
    """
    pipeline = world.declare(effects, concurrent=boom)
    world.line.cut(call)
    outcome = world.deliver(pipeline)
    if effects == "commit":
        assert outcome == ToLegacy(Reason.FAILED)
    elif call == "fail":
        assert isinstance(outcome, Wait)
    else:
        assert isinstance(outcome, Failed)


@pytest.mark.parametrize("effects", ["commit", "unsafe"])
def test_keeping_a_job_without_a_ledger_waits(world: World, effects: str) -> None:
    """A poison or unsafe job whose failure cannot be written is delivered again later."""
    pipeline = world.declare(effects)
    start_and_die(world)
    if effects == "commit":
        world.deliver(pipeline)
        after = timedelta(seconds=30)
        world.ledger.claim(NAME, "job-1", L, Effects.COMMIT, "dead", world.clock.now(), after)
        world.clock.advance(30)
    world.line.cut("fail")
    assert isinstance(world.deliver(pipeline, path=L), Wait)
    world.line.mend()
    assert isinstance(world.deliver(pipeline, path=L), Failed)
    assert world.job().state is JobState.FAILED


def test_filing_by_the_worker_without_a_ledger(world: World) -> None:
    """The ledger goes away between the claim and the filing: legacy, unstarted."""
    pipeline = world.declare()
    world.line.cut("file")
    assert world.deliver(pipeline, file=False) == ToLegacy(Reason.LEDGER_UNREACHABLE)
    assert world.ran == []


class Wordless(Exception):
    """An error whose own text fails, as one that formats an attribute it never got."""

    def __str__(self) -> str:
        raise AttributeError("response")


@pytest.mark.parametrize("where", ["path", "hook"])
def test_an_error_that_cannot_say_itself_is_an_error_like_any_other(
    world: World, where: str
) -> None:
    """The job falls back at once, and its name is what is kept of the error."""

    def fail(*given: Any) -> Any:
        raise Wordless

    in_path = fail if where == "path" else None
    pipeline = world.declare("commit", concurrent=in_path, hook=None if in_path else fail)
    assert world.deliver(pipeline) == ToLegacy(Reason.FAILED)
    assert world.job().error == "Wordless: <its text cannot be made>"
    outcome = world.deliver(world_legacy(world, fail), path=L)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Wordless)


def world_legacy(world: World, fail: Any) -> Any:
    """Another sub-pipeline, whose legacy path fails."""
    return world.declare("none", legacy=fail, name="others")


@pytest.mark.parametrize("stream", ["ascii", "closed", "full"])
def test_a_log_that_cannot_be_written_harms_no_job(
    world: World, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line between a path's error and its fallback goes to a stream that does not take it."""

    def fail(n: int) -> Any:
        raise ValueError("Zahlung über 5 € \N{COLLISION SYMBOL}")

    made = TextIOWrapper(FullDisk() if stream == "full" else BytesIO(), encoding="ascii")
    if stream == "closed":
        made.close()
    pipeline = world.declare("none", concurrent=fail)
    monkeypatch.setattr(sys, "stdout", made)
    outcome = world.deliver(pipeline)
    monkeypatch.undo()
    assert outcome == ToLegacy(Reason.FAILED)
    assert world.job().path is L
    if stream == "ascii":
        made.seek(0)
        text = made.read()
        assert "the path failed" in text
        assert "\\u20ac" in text


class FullDisk(BytesIO):
    """A file on a disk that has no room left."""

    def write(self, data: Any) -> int:
        raise OSError(ENOSPC, "No space left on device")
