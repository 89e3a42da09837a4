"""What strikes beside the path, in what rollout does when the path is over."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore, SoftTimeLimitExceeded

from rollout.adapters.celery import outcomes
from rollout.jobs.claims import JobState
from rollout.jobs.key_order import KeyOrder
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME
from tests.world import World

JOB = "job-1"


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app whose broker is this process."""
    made = Celery("door", broker="memory://", set_as_current=False)
    yield made
    made.close()


def declare(world: World, app: Celery, path: JobPath, **options: Any) -> SubPipeline:
    """A sub-pipeline whose concurrent path fails; all its jobs take one path."""
    made = SubPipeline(NAME, app=app, effects="none", key="n", runtime=world.runtime, **options)

    @made.legacy
    def old(n: int) -> int:
        return n

    @made.concurrent
    def new(n: int) -> int:
        raise ValueError("the concurrent path is broken")

    if path is JobPath.CONCURRENT:
        world.open(made)
    return made


def deliver(pipeline: SubPipeline, path: JobPath) -> Any:
    """Deliver a submitted job as a worker's child does."""
    pipeline.apply_async(kwargs={"n": 7}, task_id=JOB)
    given = {
        "id": JOB, "task": pipeline.task.name, "args": [], "kwargs": {"n": 7}, "retries": 0,
        "is_eager": False, "called_directly": False,
        "delivery_info": {"routing_key": f"{NAME}.{path}"},
    }  # fmt: skip
    task = pipeline.app.tasks[pipeline.task.name]
    task.request_stack.push(Context(given))
    try:
        return task(n=7)
    finally:
        task.request_stack.pop()


def strikes_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[str]:
    """Let the limit strike in the first call; gives the names of the calls."""
    calls, real = list[str](), getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            raise SoftTimeLimitExceeded
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return calls


def test_a_job_that_falls_back_is_sent_on(
    world: World, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is with legacy already: its caller may not hear of a failure that nobody had."""
    calls = strikes_once(monkeypatch, outcomes, "_send")
    with pytest.raises(Ignore):
        deliver(declare(world, app, JobPath.CONCURRENT), JobPath.CONCURRENT)
    assert len(calls) == 2
    job = world.job(JOB)
    assert (job.path, job.fallback_reason) == (JobPath.LEGACY, Reason.FAILED)


def test_a_committed_job_is_told_as_done(
    world: World, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next of its key is sent for, and its caller gets its value."""
    calls = strikes_once(monkeypatch, KeyOrder, "send_next")
    assert deliver(declare(world, app, JobPath.LEGACY, order="key"), JobPath.LEGACY) == 7
    assert len(calls) == 2


def test_what_goes_wrong_with_the_next_job_is_not_this_ones_failure(
    world: World, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed by then: its caller gets its value, and the controller calls the next."""

    def broken(*given: Any) -> Any:
        raise ValueError("the next job's message")

    pipeline = declare(world, app, JobPath.LEGACY, order="key")
    monkeypatch.setattr(KeyOrder, "send_next", broken)
    assert deliver(pipeline, JobPath.LEGACY) == 7


@pytest.mark.parametrize("path", JobPath)
def test_a_signal_that_ends_the_child_in_its_hook_is_no_failure(
    world: World, app: Celery, path: JobPath
) -> None:
    """A worker is cut off in the middle: whoever sees it has legacy run the job, which is kept."""
    made = SubPipeline(NAME, app=app, effects="commit", key="n", runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    # As billiard's handler raises it: a child is told to end by SIGTERM (15).
    raised: dict[str, Any] = {"__name__": "billiard.common"}
    exec("def handler(*given):\n    raise SystemExit(-(256 - 15))", raised)
    made.commit(raised["handler"])
    if path is JobPath.CONCURRENT:
        world.open(made)
    else:
        world.ledger.ensure(NAME, made.effects, 0, world.clock.now())
    with pytest.raises(SystemExit):
        deliver(made, path)
    job = world.job(JOB)
    assert (job.state, job.path, job.error) == (JobState.STARTED, path, None)


def test_a_result_that_is_not_kept_is_given_on_without_a_ledger_too(
    world: World, app: Celery
) -> None:
    """A link gets what the path returned, and not the words that the ledger keeps in its place."""
    made = SubPipeline(NAME, app=app, effects="none", key="n", runtime=world.runtime)
    thing = object()
    made.legacy(lambda n: thing)
    made.concurrent(lambda n: thing)
    world.line.cut()
    assert deliver(made, JobPath.LEGACY) is thing
