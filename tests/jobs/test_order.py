"""Jobs of one key start in the order of their submission, through every way that a job can go."""

from typing import Any

import pytest

from rollout.errors import DeclarationError, IllegalTransition, JobFailed, ReasonMissing
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, Outcome, ToLegacy, Wait
from rollout.jobs.order import OnFailure, Place
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME, filing
from tests.world import World

L, C = JobPath.LEGACY, JobPath.CONCURRENT
EARLY = Dropped(Refusal.EARLY)


class Ordered:
    """A sub-pipeline whose jobs of a key keep their order, and deliveries of it."""

    def __init__(self, world: World, effects: str = "commit", **options: Any) -> None:
        self.world = world
        self.ran: list[str] = []
        self.fails: set[JobPath] = set()
        self.pipeline = SubPipeline(
            NAME, effects=effects, key="n", order="key", runtime=world.runtime, **options
        )
        self.pipeline.legacy(self._path(L))
        self.pipeline.concurrent(self._path(C))
        if effects == "commit":
            self.pipeline.commit(lambda value, job: value)
        world.open(self.pipeline)

    def _path(self, path: JobPath) -> Any:
        def run(n: int, job: Job) -> str:
            self.ran.append(job.job_id)
            if path in self.fails:
                raise ValueError(f"broken on {path}")
            return job.job_id

        return run

    def submit(self, *job_ids: str) -> None:
        """File jobs of one key in this order."""
        declared = self.pipeline.declared
        filings = [filing(job_id, C, key="7") for job_id in job_ids]
        submit = self.world.runtime.submit
        submit.file(NAME, declared.effects, 500, filings, on_failure=declared.on_failure)

    def deliver(self, job_id: str, path: JobPath = C) -> Outcome:
        """Deliver a job as a worker does, and send the next one of its key."""
        declared = self.pipeline.declared
        job = Job(job_id, NAME, "7", path, 0, (7,), {})
        delivery = Delivery(
            job, "w1", lambda: filing(job_id, path, key="7"), on_failure=declared.on_failure
        )
        outcome = self.world.attempts.run(declared, delivery)
        self.world.runtime.key_order.send_next(NAME, "7")
        return outcome


@pytest.fixture
def ordered(world: World) -> Ordered:
    """Jobs with a commit hook: a failure holds its key."""
    return Ordered(world)


def test_one_that_comes_too_early_is_sent_by_the_one_in_front(
    world: World, ordered: Ordered
) -> None:
    """It waits in the ledger and not in a worker."""
    ordered.submit("one", "two", "three")
    assert ordered.deliver("three") == EARLY
    assert ordered.deliver("two") == EARLY
    assert ordered.deliver("one") == Done("one")
    assert world.queues.sent == ["two"]
    assert ordered.deliver("two") == Done("two")
    assert world.queues.sent == ["two", "three"]
    assert ordered.deliver("three") == Done("three")
    assert ordered.ran == ["one", "two", "three"]


def test_a_fallback_keeps_its_place(world: World, ordered: Ordered) -> None:
    """Legacy runs it before the next one of its key starts anywhere."""
    ordered.submit("one", "two")
    ordered.fails = {C}
    assert ordered.deliver("one") == ToLegacy(Reason.FAILED, recorded=True)
    assert ordered.deliver("two") == EARLY
    assert ordered.deliver("one", L) == Done("one")
    assert world.queues.sent == ["two"]


def test_a_failure_holds_its_key_until_a_person_lets_it_go(world: World, ordered: Ordered) -> None:
    """`retry` would run it first; `skip` lets the others pass, with a reason."""
    ordered.submit("one", "two")
    ordered.fails = {C, L}
    ordered.deliver("one")
    assert isinstance(ordered.deliver("one", L), Failed)
    assert ordered.deliver("two") == EARLY
    assert world.runtime.key_order.send_stuck(10) == 0
    changes = world.runtime.changes
    with pytest.raises(ReasonMissing):
        changes.skip("one", None, "ada", " ")
    skipped = changes.skip("one", None, "ada", "cannot be mended")
    assert (skipped.key, skipped.sent) == ("7", True)
    assert world.queues.sent == ["two"]
    with pytest.raises(IllegalTransition):
        changes.skip("one", None, "ada", "once more")
    page = world.runtime.desk.job("one").pages[0]
    assert [step.what for step in page.steps][-1] == "let go"


def test_retried_by_hand_it_goes_first(world: World, ordered: Ordered) -> None:
    """The jobs behind it have waited for that."""
    ordered.submit("one", "two")
    ordered.fails = {C, L}
    ordered.deliver("one")
    ordered.deliver("one", L)
    assert ordered.deliver("two") == EARLY
    told = dict(world.runtime.desk.job("two").pages[0].facts)["waits"]
    assert "behind job one of its key, which failed and is kept" in told
    ordered.fails = set()
    world.runtime.changes.retry("one")
    assert ordered.deliver("one", L) == Done("one")
    assert world.queues.sent == ["one", "two"]


@pytest.mark.parametrize("effects", ["none", "idempotent"])
def test_what_may_be_repeated_skips_a_failure(world: World, effects: str) -> None:
    """The default follows from the effects; `on_failure` says otherwise."""
    ordered = Ordered(world, effects)
    ordered.submit("one", "two")
    ordered.fails = {C, L}
    assert ordered.deliver("two") == EARLY
    ordered.deliver("one")
    ordered.deliver("one", L)
    assert world.queues.sent == ["two"]


def test_a_kill_in_between_keeps_the_order(world: World, ordered: Ordered) -> None:
    """What ran on the concurrent path runs again on legacy, before those behind it."""
    ordered.submit("one", "two", "three")
    assert ordered.deliver("two") == EARLY
    world.runtime.changes.kill(NAME, "ada", "why")
    world.queues.sent.clear()
    assert ordered.deliver("two", L) == EARLY
    assert ordered.deliver("three", L) == EARLY
    assert ordered.deliver("one", L) == Done("one")
    assert ordered.deliver("two", L) == Done("two")
    assert world.queues.sent == ["two", "three"]


def test_a_ledger_that_is_away_makes_it_wait(world: World, ordered: Ordered) -> None:
    """Nobody else knows who is in front."""
    ordered.submit("one", "two")
    world.line.cut("stands_behind")
    assert isinstance(ordered.deliver("one"), Wait)
    world.line.mend()
    assert ordered.deliver("one") == Done("one")


def test_what_a_dead_worker_did_not_send_is_swept(world: World, ordered: Ordered) -> None:
    """It died between its commit and the next one's message, or the broker was away."""
    ordered.submit("one", "two")
    assert ordered.deliver("two") == EARLY
    world.queues.away = True
    assert ordered.deliver("one") == Done("one")
    world.queues.away = False
    assert world.queues.sent == []
    assert world.runtime.ledger.job(NAME, "two").state is JobState.ACCEPTED
    world.clock.advance(world.runtime.settings.lost_after.total_seconds() + 1)
    world.runtime.tick.turn()
    assert world.queues.sent == ["two"]


def test_a_place_that_was_not_taken_is_taken_at_delivery(world: World, ordered: Ordered) -> None:
    """The ledger was away at submission; the order is that of the deliveries then."""
    assert ordered.deliver("one") == Done("one")
    ordered.submit("two")
    assert ordered.deliver("three") == EARLY
    assert ordered.deliver("two") == Done("two")
    assert world.queues.sent == ["three"]


def test_in_this_process_an_early_job_is_refused(world: World) -> None:
    """Nothing would send it again, so it does not wait in the ledger either."""
    ordered = Ordered(world)
    ordered.submit("one")
    with pytest.raises(JobFailed, match="job one of its key is in front"):
        ordered.pipeline.run(7)
    assert ordered.deliver("one") == Done("one")
    ran = ordered.pipeline.run(7)
    assert ordered.ran == ["one", ran]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"order": "queue", "key": "n"}, 'must be "key" or None'),
        ({"order": "key"}, "no key"),
        ({"order": "key", "key": "n", "on_failure": "wait"}, '"hold" or "skip"'),
        ({"on_failure": "hold", "key": "n"}, "none is kept"),
    ],
)
def test_a_declaration_that_cannot_work(options: dict[str, Any], expected: str) -> None:
    """With what to write."""
    with pytest.raises(DeclarationError, match=expected):
        SubPipeline(NAME, effects="none", **options)


def test_without_an_order_nothing_of_it_is_asked(world: World) -> None:
    """The way of every other job stays as short as it was."""
    pipeline = world.declare()
    world.deliver(pipeline)
    assert not {"stands_behind", "line_up", "next_of"} & set(world.line.trace)
    assert world.runtime.ledger.in_front_of(NAME, "job-1") is None
    assert Place(NAME, "7", "job-1", OnFailure.HOLD).key == "7"
