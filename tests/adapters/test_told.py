"""A delivery that finds its job's outcome: whether the caller and what follows have heard of it."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from celery import Celery
from celery.app.task import Context

from rollout.adapters.celery.outcomes import is_told, tell_again
from rollout.jobs.claims import JobState
from rollout.jobs.outcomes import FORGOTTEN, NOT_KEPT
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


def told_late(task: Any, monkeypatch: pytest.MonkeyPatch, before: str, **record: Any) -> Any:
    """What the backend has after a mark of a retry that came when the job stood like this."""
    ledger = Mock(job=Mock(return_value=Mock(**record)))
    monkeypatch.setattr(Declared, "ledger", property(lambda declared: ledger))
    job_id = repr((before, record))
    itself = task.AsyncResult(job_id)
    request = Context(
        id=job_id, ignore_result=False, called_directly=False, retries=1, _children=[itself]
    )
    task.backend.store_result(job_id, KeyError("again"), before, request=request)
    tell_again(task, request)
    return task.AsyncResult(job_id)


@pytest.mark.parametrize(
    ("state", "result", "shown"),
    [
        (JobState.COMMITTED, "2", ("SUCCESS", "2")),
        (JobState.COMMITTED, FORGOTTEN, ("RETRY", "KeyError('again')")),  # as its path has said
        (JobState.COMMITTED, NOT_KEPT, ("FAILURE", "JobFailed")),  # it says that it is committed
        (JobState.FAILED, None, ("FAILURE", "JobFailed")),
        (JobState.ACCEPTED, None, ("RETRY", "KeyError('again')")),
        (JobState.CANCELLED, None, ("RETRY", "KeyError('again')")),
    ],
)
def test_a_retrys_mark_that_comes_late_hides_no_end(
    task: Any,
    monkeypatch: pytest.MonkeyPatch,
    state: JobState,
    result: str | None,
    shown: tuple[str, str],
) -> None:
    """Celery marks a job as retried after its next message has left; that may have ended."""
    stored = told_late(
        task, monkeypatch, "RETRY", state=state, result=result, error="no", job_id="1"
    )
    status, start = shown
    assert stored.state == status
    assert repr(stored.result).startswith(start)
    assert bool(stored.children) == (status == "RETRY")


def test_an_end_that_is_not_hidden_is_left_as_it_is(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that ended the job has told it, with its own error and children."""
    stored = told_late(
        task, monkeypatch, "FAILURE", state=JobState.FAILED, result=None, error="no", job_id="1"
    )
    assert repr(stored.result) == "KeyError('again')"


def test_a_backend_that_is_away_fails_no_retry(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message has left already."""
    asked = Mock(side_effect=OSError("away"))
    monkeypatch.setattr(type(task.backend), "get_task_meta", asked)
    ledger = Mock(job=Mock(return_value=Mock(state=JobState.COMMITTED, result="2")))
    monkeypatch.setattr(Declared, "ledger", property(lambda declared: ledger))
    tell_again(task, Context(id="away", ignore_result=False, called_directly=False))
    assert asked.called
