"""A message of a producer that knows nothing of rollout, while broker or ledger is away."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from kombu.exceptions import OperationalError

from rollout.adapters.celery import outcomes
from rollout.errors import UnknownJob
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Dropped
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from tests.builders import NAME
from tests.world import World

JOB = "job-1"


@pytest.fixture
def task(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A task of a sub-pipeline with all jobs in its scope; nobody pauses."""
    app = Celery("late", broker="memory://", set_as_current=False)
    made = SubPipeline(NAME, app=app, effects="none", key="n", runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    world.open(made)
    monkeypatch.setattr(outcomes, "WAIT_S", 0.0)
    yield app.tasks[made.task.name]
    app.close()


def request_of(queue: str) -> Context:
    """A delivery from a queue."""
    given = {
        "id": JOB, "args": [], "kwargs": {"n": 7}, "retries": 0, "is_eager": False,
        "called_directly": False, "delivery_info": {"routing_key": queue}, "root_id": JOB,
    }  # fmt: skip
    return Context(given)


def deliver(task: Any, queue: str = "celery") -> None:
    """Deliver it as a worker's child does."""
    task.request_stack.push(request_of(queue))
    try:
        task(n=7)
    finally:
        task.request_stack.pop()


def sent_to(monkeypatch: pytest.MonkeyPatch, *, away: bool) -> list[JobPath]:
    """Paths to whose queues messages go; with the broker away none does."""
    paths = list[JobPath]()

    def send(task: Any, message: Any, path: JobPath) -> None:
        if away:
            raise OperationalError("connection refused")
        paths.append(path)

    monkeypatch.setattr(outcomes, "_send", send)
    return paths


def test_with_the_broker_away_a_filed_job_is_the_sweepers(
    world: World, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller is told of no failure: the job has not even begun."""
    sent_to(monkeypatch, away=True)
    with pytest.raises(Ignore):
        deliver(task)
    assert world.job(JOB).state is JobState.ACCEPTED


def test_with_broker_and_ledger_away_the_message_stays_in_its_queue(
    world: World, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is all there is of the job."""
    sent_to(monkeypatch, away=True)
    world.line.cut()
    with pytest.raises(Reject) as raised:
        deliver(task)
    assert raised.value.requeue


def test_with_the_ledger_away_it_goes_to_legacy_unfiled(
    world: World, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a job does that is submitted then."""
    paths = sent_to(monkeypatch, away=False)
    world.line.cut()
    with pytest.raises(Ignore):
        deliver(task)
    assert paths == [JobPath.LEGACY]
    with pytest.raises(UnknownJob):
        world.job(JOB)


def test_a_message_that_outlived_its_job_waits_for_a_ledger_to_be_kept_in(
    world: World, task: Any
) -> None:
    """It is neither told as a failure nor lost."""
    world.line.cut("keep_message", times=1)
    request = request_of(f"{NAME}.legacy")
    with pytest.raises(Reject) as raised:
        outcomes.carry_out(task, request, Dropped(Refusal.FORGOTTEN))
    assert raised.value.requeue
    with pytest.raises(Ignore):
        outcomes.carry_out(task, request, Dropped(Refusal.FORGOTTEN))
    assert len(world.ledger.kept_messages(10)) == 1
