"""A delivery that finds its job's outcome: whether the caller and what follows have heard of it."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from celery import Celery

from rollout.adapters.celery.outcomes import is_told
from rollout.pipeline import SubPipeline
from tests.builders import NAME


@pytest.fixture
def task() -> Iterator[Any]:
    """A task whose backend holds the result of one job."""
    app = Celery("told", broker="memory://", backend="cache+memory://", set_as_current=False)
    made = SubPipeline(NAME, app=app, effects="none")
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    made.task.backend.store_result("stored", 1, "SUCCESS")
    yield made.task
    app.close()


def delivered(job_id: str, **more: Any) -> Any:
    """A request of Celery's."""
    given = {"id": job_id, "ignore_result": False, "chord": None, "chain": None, "callbacks": None}
    return Mock(**(given | more))


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (delivered("stored"), True),
        (delivered("other"), False),
        (delivered("stored", callbacks=[{}]), True),  # called before the result is stored
        (delivered("stored", chord={"task": "sum"}), False),  # counted after it
        (delivered("other", ignore_result=True), True),
        (delivered("other", ignore_result=True, callbacks=[{}]), False),
        (delivered("other", ignore_result=True, chain=[{}]), False),
        (delivered("other", ignore_result=True, chord={"task": "sum"}), False),
    ],
)
def test_what_follows_is_called_when_nobody_knows(task: Any, request_: Any, told: bool) -> None:
    """A worker that died between a result and its chord left a chord that never ends."""
    assert is_told(task, request_, 1) is told
