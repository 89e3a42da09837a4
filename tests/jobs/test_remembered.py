"""Jobs that left while the ledger was away are filed by their producer's next submission."""

from collections import deque
from collections.abc import Iterator

import pytest
from celery import Celery

from rollout.errors import UnknownJob
from rollout.jobs.ports import Filing
from rollout.jobs.submit import LATER_MAX
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing
from tests.world import World


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app whose broker is this process."""
    made = Celery("door", broker="memory://", set_as_current=False)
    yield made
    made.close()


def declare(world: World, app: Celery, effects: str) -> SubPipeline:
    """A sub-pipeline on the app, all jobs in its scope."""
    made = SubPipeline(NAME, app=app, effects=effects, holdback_bp=0, runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    if effects == "commit":
        made.commit(lambda value, job: value)
    world.open(made)
    return made


@pytest.mark.parametrize("effects", ["commit", "unsafe"])
def test_the_next_submission_files_what_left_unfiled(
    world: World, app: Celery, effects: str
) -> None:
    """The broker may have lost the message: with a row, the sweep sends it again."""
    door = declare(world, app, effects)
    world.line.cut("file")
    alone = door.apply_async(kwargs={"n": 1}).id
    batch = [one.id for one in door.submit_many([{"n": n} for n in range(3)])]
    world.line.mend()
    last = door.apply_async(kwargs={"n": 2}).id
    for job_id in (alone, *batch):
        job = world.ledger.job(NAME, job_id)
        assert (job.path, job.reason, job.revision) == (JobPath.LEGACY, Reason.UNFILED, -1)
    assert world.ledger.job(NAME, last).path is JobPath.CONCURRENT


@pytest.mark.parametrize("effects", ["none", "idempotent"])
def test_what_may_run_without_the_ledger_is_left_to_its_worker(
    world: World, app: Celery, effects: str
) -> None:
    """It may have run by then, with its outcome in Celery alone: a row would run it again."""
    door = declare(world, app, effects)
    world.line.cut("file", times=1)
    job_id = door.apply_async(kwargs={"n": 1}).id
    door.apply_async(kwargs={"n": 2})
    with pytest.raises(UnknownJob):
        world.ledger.job(NAME, job_id)


def test_a_job_that_its_worker_has_filed_keeps_its_row(world: World, app: Celery) -> None:
    """Whoever comes second changes nothing."""
    door = declare(world, app, "commit")
    world.line.cut("file", times=1)
    job_id = door.apply_async(kwargs={"n": 1}).id
    world.ledger.file([filing(job_id, JobPath.LEGACY)])
    world.ledger.fail(NAME, job_id, None, None, "boom", NOW)
    before = world.ledger.job(NAME, job_id)
    door.apply_async(kwargs={"n": 2})
    assert world.ledger.job(NAME, job_id) == before


def test_a_ledger_that_goes_away_again_loses_nothing(world: World) -> None:
    """What could not be filed is filed with the submission after that, and once."""
    submit = world.runtime.submit
    submit.remember(Effects.COMMIT, [filing(f"job-{n}") for n in range(3)])
    world.line.cut("pruned_before", times=1)
    for n in range(2):
        assert submit.file(NAME, Effects.COMMIT, 0, [filing(f"new-{n}")])
    for n in range(3):
        assert world.ledger.job(NAME, f"job-{n}").reason is Reason.UNFILED
    calls = world.line.trace.count("file")
    submit.file(NAME, Effects.COMMIT, 0, [filing("new-2")])
    assert world.line.trace.count("file") == calls + 1


def test_what_may_have_been_pruned_since_is_not_filed_again(world: World) -> None:
    """Its row is gone because it had its outcome; filed anew it would run twice."""
    submit = world.runtime.submit
    submit.remember(Effects.COMMIT, [filing("old", at=world.clock.now())])
    world.deliver(world.declare("commit"), "old", JobPath.LEGACY)
    world.ledger.fold(10)
    world.clock.advance(60)
    assert world.ledger.prune(world.clock.now(), 10) == 1
    submit.file(NAME, Effects.COMMIT, 0, [filing("new")])
    with pytest.raises(UnknownJob):
        world.ledger.job(NAME, "old")


def test_a_long_absence_takes_no_more_memory_than_agreed(world: World) -> None:
    """The oldest are left to their workers, as all were before."""
    submit = world.runtime.submit
    submit.remember(Effects.COMMIT, [filing(f"job-{n}") for n in range(LATER_MAX + 1)])
    submit.file(NAME, Effects.COMMIT, 0, [filing("new")])
    with pytest.raises(UnknownJob):
        world.ledger.job(NAME, "job-0")
    assert world.ledger.job(NAME, "job-1").reason is Reason.UNFILED


def test_two_threads_that_submit_at_once_share_what_is_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each files what the other has not taken; neither submission fails."""
    submit = world.runtime.submit
    submit.remember(Effects.COMMIT, [filing(f"job-{n}") for n in range(3)])
    mine = submit._unfiled

    class Shared(deque[Filing]):
        """What is remembered, with another thread that takes the rest once one is taken."""

        def popleft(self) -> Filing:
            one = super().popleft()
            self.clear()
            return one

    monkeypatch.setattr(submit, "_unfiled", Shared(mine))
    assert submit.file(NAME, Effects.COMMIT, 0, [filing("new")])
    assert world.ledger.job(NAME, "job-0").reason is Reason.UNFILED
