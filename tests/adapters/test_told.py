"""A delivery that finds its job's outcome: whether the caller and what follows have heard of it."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from celery import Celery
from celery.app.task import Context

from rollout.adapters.celery.outcomes import is_told, tell_again
from rollout.jobs.claims import JobState
from rollout.pipeline import SubPipeline
from rollout.pipeline.declared import Declared
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


@pytest.mark.parametrize(
    ("state", "shown"), [(JobState.COMMITTED, "SUCCESS"), (JobState.ACCEPTED, "RETRY")]
)
def test_a_retrys_mark_that_comes_late_hides_no_result(
    task: Any, monkeypatch: pytest.MonkeyPatch, state: JobState, shown: str
) -> None:
    """Celery marks a job as retried after its next message has left; that may have ended."""
    record = Mock(state=state, result="2")
    ledger = Mock(job=Mock(return_value=record))
    monkeypatch.setattr(Declared, "ledger", property(lambda declared: ledger))
    job_id = f"late, {state}"
    task.backend.store_result(job_id, KeyError("again"), "RETRY")
    tell_again(task, Context(id=job_id, ignore_result=False, called_directly=False))
    assert task.AsyncResult(job_id).state == shown
