"""The door of an app: second submissions, due times without a zone, the age of a message."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery

from rollout.adapters.celery.marks import Marks, read_marks, submitted_at
from rollout.errors import AlreadyFinished
from rollout.jobs.claims import JobState
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME
from tests.hand_clock import START
from tests.world import World


@pytest.fixture
def door(world: World) -> Iterator[SubPipeline]:
    """A sub-pipeline on an app whose broker is this process."""
    app = Celery("door", broker="memory://", set_as_current=False)
    app.conf.timezone = "Europe/Zurich"
    made = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    yield made
    app.close()


@pytest.mark.parametrize(
    ("eta", "due"),
    [
        (
            datetime(2026, 11, 3, 12, 0, tzinfo=UTC).replace(tzinfo=None),
            datetime(2026, 11, 3, 12, 0, tzinfo=UTC),
        ),
        (datetime(2026, 11, 3, 12, 0, tzinfo=UTC), datetime(2026, 11, 3, 12, 0, tzinfo=UTC)),
        ("2026-11-03T12:00:00", datetime(2026, 11, 3, 12, 0, tzinfo=UTC)),
        ("2026-11-03T12:00:00Z", datetime(2026, 11, 3, 12, 0, tzinfo=UTC)),
    ],
)
def test_a_due_time_is_read_as_celerys_worker_reads_it(
    world: World, door: SubPipeline, eta: Any, due: datetime
) -> None:
    """Without a zone it is UTC, whatever the app's own is: the ledger and the worker agree."""
    result = door.apply_async(kwargs={"n": 1}, eta=eta)
    assert world.ledger.job(NAME, result.id).not_before == due


def test_a_second_submission_of_a_finished_id_says_that_it_was_not_made(
    world: World, door: SubPipeline
) -> None:
    """Bare Celery would run it again; here nothing is sent, and the caller hears why."""
    door.apply_async(kwargs={"n": 1}, task_id="nightly")
    door.apply_async(kwargs={"n": 1}, task_id="nightly")  # still open: it runs once
    world.ledger.fail(NAME, "nightly", None, None, "boom", START)
    with pytest.raises(AlreadyFinished, match="submit under a new id"):
        door.apply_async(kwargs={"n": 1}, task_id="nightly")
    assert world.ledger.job(NAME, "nightly").state is JobState.FAILED


def test_a_link_that_a_task_sends_twice_is_no_error(world: World, door: SubPipeline) -> None:
    """Its message came twice, so its links are called twice: the first outcome stands."""
    door.apply_async(kwargs={"n": 1}, task_id="linked", parent_id="before")
    world.ledger.fail(NAME, "linked", None, None, "boom", START)
    door.apply_async(kwargs={"n": 1}, task_id="linked", parent_id="before")
    assert world.ledger.job(NAME, "linked").state is JobState.FAILED


def test_one_id_of_two_sub_pipelines_is_submitted_twice(world: World, door: SubPipeline) -> None:
    """Each has its row; a retry of one is not taken for the other's."""
    other = SubPipeline("bills", app=door.app, effects="none", runtime=world.runtime)
    other.legacy(lambda m: m)
    other.concurrent(lambda m: m)
    door.apply_async(kwargs={"n": 1}, task_id="same")
    other.apply_async(kwargs={"m": 1}, task_id="same")
    assert [job.name for job in world.ledger.jobs_of("same")] == ["bills", NAME]
    assert world.ledger.effects("bills") is Effects.NONE


def test_a_message_tells_when_its_job_was_submitted() -> None:
    """To the millisecond, through header and back; one of an older release tells nothing."""
    at = START + timedelta(milliseconds=1)
    told = Marks("7", JobPath.LEGACY, "stage", 1, at=round(at.timestamp() * 1000))
    assert submitted_at(read_marks({"rollout": told.header()}, "job-1"), START) == at
    silent = Marks("7", JobPath.LEGACY, "stage", 1)
    assert "at" not in silent.header()
    assert submitted_at(read_marks({"rollout": silent.header()}, "job-1"), START) == START
    assert submitted_at(None, START) == START
