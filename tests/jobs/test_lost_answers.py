"""The ledger did it and its answer was lost; a row has gone; a message has outlived its job."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rollout.jobs.claims import UNCLAIMED, JobState, Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, Outcome, ToLegacy, Wait
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, filing
from tests.world import Retry, World

L, C = JobPath.LEGACY, JobPath.CONCURRENT
HOUR = timedelta(hours=1)
WORDS = [str(effects) for effects in Effects]


def boom(n: int) -> Any:
    """A path that fails."""
    raise ValueError("boom")


def keyed(world: World) -> Any:
    """A hook whose row has a key, so that a second run of it is an error."""
    with world.ledger.database.write() as connection:
        connection.execute(text("CREATE TABLE invoice (job_id TEXT PRIMARY KEY)"))

    def hook(value: Any, job: Job) -> Any:
        job.connection.execute(text("INSERT INTO invoice VALUES (:job)"), {"job": job.job_id})
        return value

    return hook


def invoices(world: World) -> int:
    """Rows that hooks have written."""
    with world.ledger.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM invoice")).scalar_one())


@pytest.mark.parametrize("path", JobPath)
def test_a_commit_whose_answer_is_lost_is_told_and_its_hook_not_run_again(
    world: World, path: JobPath
) -> None:
    """The row is judged first: the caller hears of the result, on either path."""
    pipeline = world.declare("commit", hook=keyed(world))
    world.line.unanswered["commit"] = 1
    assert world.deliver(pipeline, path=path) == Done([str(path), 7])
    assert world.ran == [str(path), "hook"]
    assert (world.job().state, invoices(world)) == (JobState.COMMITTED, 1)


@pytest.mark.parametrize("path", JobPath)
def test_a_hook_that_meets_its_own_committed_row_is_told_its_outcome(
    world: World, path: JobPath
) -> None:
    """Judged too early the row said started; hand over or fail then answers no, and it is read."""

    def meets_its_row(value: Any, job: Job) -> Any:
        raise Late

    def land(call: str) -> None:
        """The commit of the first try lands, from a packet that was late."""
        if call in ("hand_over", "fail"):
            with world.ledger.database.write() as connection:
                connection.execute(
                    text(
                        "UPDATE job SET state = 'committed', result = '\"first\"', finished_at = 1"
                    )
                )

    pipeline = world.declare("commit", hook=meets_its_row)
    world.line.before = land
    assert world.deliver(pipeline, path=path) == Done("first")


class Late(Exception):
    """A hook's own error: its row has the key of the first try's."""


def test_a_commit_that_counted_before_the_ledger_went_is_told_by_its_message(world: World) -> None:
    """The message is not dropped: it comes again, and finds the outcome."""
    pipeline = world.declare("commit")
    world.line.unanswered["commit"] = 1
    world.line.cut("job")
    assert isinstance(world.deliver(pipeline), Wait)
    world.line.mend()
    assert world.deliver(pipeline) == Done(["concurrent", 7], duplicate=True)
    assert world.ran == ["concurrent", "hook"]


def test_a_lost_answer_of_fail_is_told_once_as_the_failure(world: World) -> None:
    """The second try finds its own failure."""
    pipeline = world.declare("commit", legacy=boom)
    world.line.unanswered["fail"] = 1
    outcome = world.deliver(pipeline, path=L)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ValueError)
    assert world.job().state is JobState.FAILED


def test_an_attempt_that_lost_its_job_hears_nothing_of_the_others_outcome(world: World) -> None:
    """The other attempt tells it; told twice, links would be called twice."""

    def slow(n: int) -> Any:
        world.ledger.hand_over(NAME, "job-1", 1, Reason.WORKER_LOST, None, world.clock.now())
        world.deliver(pipeline, path=L, worker="w2")
        raise ValueError("late")

    pipeline = world.declare("commit", concurrent=slow)
    assert world.deliver(pipeline) == Dropped(Refusal.STALE)
    assert world.job().state is JobState.COMMITTED


@pytest.mark.parametrize("how", ["killed", "unreachable"])
def test_an_outcome_that_nobody_told_is_told_though_the_gate_has_closed(
    world: World, how: str
) -> None:
    """Its worker died between commit and result: this message is the only one that tells it."""
    pipeline = world.declare("commit")
    world.deliver(pipeline)
    if how == "killed":
        world.runtime.changes.kill(NAME, "ada", "why")
    else:
        world.control.reachable = False
    assert world.deliver(pipeline) == Done(["concurrent", 7], duplicate=True)
    assert world.ran == ["concurrent", "hook"]


def test_a_leftover_of_a_job_that_ended_on_legacy_tells_nothing(world: World) -> None:
    """Its message there tells it; an errback would be called twice."""
    pipeline = world.declare("none", legacy=boom)
    world.ledger.file([filing(at=world.clock.now())])
    world.runtime.changes.kill(NAME, "ada", "why")
    assert isinstance(world.deliver(pipeline, path=L), Failed)
    assert world.deliver(pipeline) == Dropped(Refusal.MOVED)


@pytest.mark.parametrize("effects", ["none", "idempotent"])
def test_a_retry_of_a_run_without_a_claim_is_recorded_when_the_ledger_is_back(
    world: World, effects: str
) -> None:
    """The ledger was away at its start only; the retry is one, and no attempt that lost its job."""

    def tries_again(n: int) -> Any:
        world.line.mend()
        again = filing(path=L, at=world.clock.now(), not_before=world.clock.now() + HOUR)
        assert world.runtime.submit.release(again, UNCLAIMED)
        raise Retry

    pipeline = world.declare(effects, legacy=tries_again)
    world.ledger.file([filing(path=L, at=world.clock.now())])
    world.line.cut()
    with pytest.raises(Retry):
        world.deliver(pipeline, path=L, file=False)
    job = world.job()
    assert (job.state, job.not_before) == (JobState.ACCEPTED, world.clock.now() + HOUR)


def test_a_run_without_a_claim_gives_the_very_object_that_its_path_returned(world: World) -> None:
    """As a claimed one does without a hook; what JSON makes of it is the ledger's affair."""
    pipeline = world.declare("none", legacy=lambda n: ("legacy", n))
    claimed = world.deliver(pipeline, "job-1", L)
    world.ledger.file([filing("job-2", L, at=world.clock.now())])
    world.line.cut()
    assert world.deliver(pipeline, "job-2", L, file=False) == claimed == Done(("legacy", 7))


# Rows that have gone ---------------------------------------------------------------------------


def lose(world: World) -> None:
    """Lose every row of a job, as a failover to a copy that lags behind does."""
    with world.ledger.database.write() as connection:
        connection.execute(text("DELETE FROM job"))


@pytest.mark.parametrize("effects", WORDS)
@pytest.mark.parametrize("path", JobPath)
def test_a_row_gone_while_the_path_runs_is_filed_again_and_committed(
    world: World, effects: str, path: JobPath
) -> None:
    """What ran is not thrown away, and runs once."""

    def work(n: int) -> Any:
        lose(world)
        return n

    pipeline = world.declare(effects, legacy=work, concurrent=work)
    assert world.deliver(pipeline, path=path) == Done(7)
    assert world.ran.count(str(path)) == 1
    assert (world.job().state, world.job().path) == (JobState.COMMITTED, path)


def test_a_row_gone_while_the_path_runs_sees_a_kill(world: World) -> None:
    """Claimed again it meets the latch: legacy has the job."""

    def work(n: int) -> Any:
        lose(world)
        world.runtime.changes.kill(NAME, "ada", "why")
        return n

    pipeline = world.declare("commit", concurrent=work)
    assert world.deliver(pipeline) == ToLegacy(Reason.KILLED)
    assert (world.job().state, world.job().path) == (JobState.ACCEPTED, L)


@pytest.mark.parametrize("path", JobPath)
def test_a_failure_whose_row_has_gone_is_kept_or_handed_over(world: World, path: JobPath) -> None:
    """Legacy's is filed again and kept; the concurrent one's message goes on to legacy."""

    def fail(n: int) -> Any:
        lose(world)
        raise ValueError("boom")

    pipeline = world.declare("commit", legacy=fail, concurrent=fail)
    outcome = world.deliver(pipeline, path=path)
    if path is C:
        assert outcome == ToLegacy(Reason.FAILED)
        return
    assert isinstance(outcome, Failed)
    assert (world.job().state, world.job().error) == (JobState.FAILED, "ValueError: boom")


def test_a_retry_whose_row_has_gone_is_filed(world: World) -> None:
    """Its message would find nothing, and the retry's attempt is no other's."""
    world.declare("commit")
    assert world.runtime.submit.release(filing(), 1)
    assert world.job().state is JobState.ACCEPTED


class Forget(Exception):
    """What a path raises so that its queue engine forgets the job."""


@pytest.mark.parametrize("path", JobPath)
def test_a_row_gone_under_a_job_that_asks_to_be_forgotten_is_filed_again(
    world: World, path: JobPath
) -> None:
    """It has been done: without a row of it, it would be a job that nobody knows."""

    def work(n: int) -> Any:
        lose(world)
        raise Forget

    pipeline = world.declare("idempotent", legacy=work, concurrent=work)
    attempts = world.runtime.attempts(forgets=(Forget,))
    sent = filing("job-1", path, at=world.clock.now())
    world.ledger.file([sent])
    job = Job("job-1", NAME, "7", path, 0, (), {"n": 7})
    with pytest.raises(Forget):
        attempts.run(pipeline.declared, Delivery(job, "w1", lambda: sent))
    assert (world.job().state, world.job().path) == (JobState.COMMITTED, path)


def test_a_failure_whose_row_goes_twice_waits_for_its_message(world: World) -> None:
    """Nothing holds the job but its message: it is not acknowledged."""

    def fail(n: int) -> Any:
        lose(world)
        world.line.before = lambda call: lose(world) if call == "fail" else None
        raise ValueError("boom")

    pipeline = world.declare("commit", legacy=fail)
    assert isinstance(world.deliver(pipeline, path=L), Wait)


# Messages that outlive their jobs ----------------------------------------------------------------


def test_a_leftover_of_a_pruned_job_is_never_run(world: World) -> None:
    """Killed, recalled, committed on legacy, pruned; five weeks later the leftover turns up."""
    pipeline = world.declare("commit")
    sent = filing(at=world.clock.now())
    world.ledger.file([sent])
    world.runtime.changes.kill(NAME, "ada", "why")
    assert world.deliver(pipeline, path=L) == Done(["legacy", 7])
    world.ledger.fold(10)
    world.clock.advance(timedelta(days=31).total_seconds())
    assert world.ledger.prune(world.clock.now() - timedelta(days=30), 10) == 1
    world.runtime.changes.rearm(NAME, "ada", "fixed")
    world.control.beat("controller", timedelta(days=1))
    assert again(world, pipeline, sent.at) == Dropped(Refusal.FORGOTTEN)
    assert world.ran == ["legacy", "hook"]


def test_a_message_younger_than_what_is_pruned_is_filed(world: World) -> None:
    """Its row was lost, or never written: it cannot have been pruned."""
    pipeline = world.declare("commit")
    old = world.clock.now()
    world.ledger.file([filing("old", L, at=old)])
    world.deliver(pipeline, "old", L)
    world.ledger.fold(10)
    world.clock.advance(10)
    assert world.ledger.prune(world.clock.now(), 10) == 1
    assert again(world, pipeline, world.clock.now()) == Done(["concurrent", 7])


def again(world: World, pipeline: SubPipeline, sent_at: Any) -> Outcome:
    """Deliver a message that was sent then, and that the ledger does not hold."""
    made = filing(at=sent_at)
    job = Job("job-1", NAME, "7", C, 0, (), {"n": 7})
    return world.attempts.run(pipeline.declared, Delivery(job, "w9", lambda: made))
