"""What a producer that knows nothing of rollout sends, and no job can be made of."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore

from rollout.errors import JobIdUnusable, KeyUnusable, PayloadTooLarge
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from tests.builders import NAME
from tests.world import World


@pytest.fixture
def door(world: World) -> Iterator[SubPipeline]:
    """A sub-pipeline that takes its jobs by a key, on an app whose broker is this process."""
    app = Celery("door", broker="memory://", set_as_current=False)
    made = SubPipeline(NAME, app=app, effects="none", key="n", runtime=world.runtime)
    made.legacy(lambda n=None, text="": n)
    made.concurrent(lambda n=None, text="": n)
    yield made
    app.close()


def deliver(
    door: SubPipeline, queue: str, kwargs: dict[str, Any], job_id: str = "foreign-1"
) -> None:
    """Deliver a message without marks, as a worker's child does."""
    task = door.app.tasks[door.task_name] if hasattr(door, "task_name") else door.task
    given = {
        "id": job_id, "task": task.name, "args": [], "kwargs": kwargs, "retries": 0,
        "is_eager": False, "called_directly": False, "delivery_info": {"routing_key": queue},
    }  # fmt: skip
    task.request_stack.push(Context(given))
    try:
        task(**kwargs)
    finally:
        task.request_stack.pop()


@pytest.mark.parametrize("queue", [f"{NAME}.legacy", f"{NAME}.concurrent", "elsewhere"])
@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"text": "no key"}, KeyUnusable),
        ({"n": {"a": 1}}, KeyUnusable),
        ({"n": "7\x00"}, KeyUnusable),
        ({"n": 7, "text": "x" * 3_000_000}, PayloadTooLarge),
    ],
)
def test_a_foreign_message_that_is_no_job_is_kept(
    world: World, door: SubPipeline, queue: str, kwargs: dict[str, Any], error: type[Exception]
) -> None:
    """It fails for whoever waits for it, and a person finds it with its reason and its queue."""
    if error is PayloadTooLarge and queue.endswith("concurrent"):
        with pytest.raises(Ignore):  # the gate is closed: it fails where it is sent to
            deliver(door, queue, kwargs)
        queue = f"{NAME}.legacy"
    with pytest.raises(error):
        deliver(door, queue, kwargs)
    (kept,) = world.ledger.kept_messages(10)
    assert kept["queue"] == queue
    assert "foreign-1" in kept["headers"]
    assert len(kept["body"]) <= 20_000
    assert world.ledger.open_counts() == []


def test_a_foreign_message_that_is_one_is_none_to_keep(world: World, door: SubPipeline) -> None:
    """It is filed and routed."""
    with pytest.raises(Ignore):
        deliver(door, "elsewhere", {"n": 7})
    assert world.ledger.kept_messages(10) == []
    assert world.ledger.job(NAME, "foreign-1").path is JobPath.LEGACY


def test_a_ledger_that_is_away_hides_no_error(world: World, door: SubPipeline) -> None:
    """Then the log has the message."""
    world.line.cut("keep_message")
    with pytest.raises(KeyUnusable):
        deliver(door, f"{NAME}.legacy", {"n": []})


@pytest.mark.parametrize("queue", [f"{NAME}.legacy", f"{NAME}.concurrent", "elsewhere"])
@pytest.mark.parametrize("job_id", ["x" * 192, "nul\x00"], ids=["long", "nul"])
def test_a_foreign_message_whose_id_no_ledger_holds_is_kept(
    world: World, door: SubPipeline, queue: str, job_id: str
) -> None:
    """It fails, as one without a key does, and nothing of it meets the database."""
    with pytest.raises(JobIdUnusable):
        deliver(door, queue, {"n": 7}, job_id)
    (kept,) = world.ledger.kept_messages(10)
    assert (kept["queue"], "1..191 characters" in kept["why"]) == (queue, True)
