"""No more jobs than there is room for, through every way that a job can go."""

from pathlib import Path
from typing import Any

import pytest

from rollout.capacities import read_capacities
from rollout.desk.resources import UnknownResource
from rollout.errors import DeclarationError, JobFailed, WrongSettings
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, Outcome, ToLegacy, Wait
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME, filing
from tests.world import World

L, C = JobPath.LEGACY, JobPath.CONCURRENT
TAKEN, EARLY = Dropped(Refusal.TAKEN), Dropped(Refusal.EARLY)
STORE = "warehouse"


class Sharing:
    """A sub-pipeline whose jobs take something of the warehouse, and deliveries of it."""

    def __init__(
        self, world: World, name: str = NAME, effects: str = "commit", **options: Any
    ) -> None:
        self.world = world
        self.fails: set[JobPath] = set()
        self.ran: list[str] = []
        self.meanwhile: list[Any] = []
        given = {"key": "n", "resources": {STORE: 1}, **options}
        self.pipeline = SubPipeline(name, effects=effects, runtime=world.runtime, **given)
        self.pipeline.legacy(self._path(L))
        self.pipeline.concurrent(self._path(C))
        if effects == "commit":
            self.pipeline.commit(lambda value, job: value)
        world.open(self.pipeline)

    def _path(self, path: JobPath) -> Any:
        def run(n: int, job: Job) -> str:
            self.ran.append(job.job_id)
            while self.meanwhile:
                self.meanwhile.pop(0)()
            if path in self.fails:
                raise ValueError(f"broken on {path}")
            return job.job_id

        return run

    def submit(self, *job_ids: str) -> None:
        """File jobs of one key in this order."""
        declared = self.pipeline.declared
        filings = [filing(job_id, C, name=declared.name) for job_id in job_ids]
        submit = self.world.runtime.submit
        submit.file(declared.name, declared.effects, 500, filings, on_failure=declared.on_failure)

    def hold_elsewhere(self, job_id: str) -> None:
        """Let a worker start a job of which nothing more is heard."""
        declared, ledger = self.pipeline.declared, self.world.ledger
        ledger.file([filing(job_id, C, name=declared.name)])
        silent_after, now = self.world.runtime.settings.silent_after, self.world.clock.now()
        ledger.claim(
            declared.name, job_id, C, declared.effects, "w2", now, silent_after, declared.needs
        )

    def deliver(self, job_id: str, path: JobPath = C) -> Outcome:
        """Deliver a job as a worker does, and do what that does after it."""
        declared = self.pipeline.declared
        declared.check()
        job = Job(job_id, declared.name, "7", path, 0, (7,), {})
        made = filing(job_id, path, name=declared.name)
        delivery = Delivery(
            job, "w1", lambda: made, on_failure=declared.on_failure, needs=declared.needs
        )
        outcome = self.world.attempts.run(declared, delivery)
        if declared.on_failure is not None:
            self.world.runtime.key_order.send_next(declared.name, "7")
        if outcome != TAKEN:
            declared.resource_calls.given_back(declared.needs)
        return outcome


@pytest.fixture
def sharing(world: World) -> Sharing:
    """A warehouse for one job at a time."""
    world.runtime.capacities = {STORE: 1}
    return Sharing(world)


def test_one_that_finds_no_room_is_sent_by_who_gives_back(world: World, sharing: Sharing) -> None:
    """Over two sub-pipelines; it waits in the ledger and not in a worker."""
    bills = Sharing(world, "bills", "none")
    said: list[Outcome] = []
    sharing.meanwhile = [
        lambda: said.append(bills.deliver("bill")),
        lambda: said.append(sharing.deliver("two")),
    ]
    assert sharing.deliver("one") == Done("one")
    assert said == [TAKEN, TAKEN]
    assert bills.ran == []
    assert world.queues.sent == ["bill"], "it came first, and one has room"
    assert bills.deliver("bill") == Done("bill")
    assert world.queues.sent == ["bill", "two"]
    assert sharing.deliver("two") == Done("two")
    assert world.runtime.ledger.resource_uses(None, 10) == []


def test_a_fallback_gives_back_and_waits_like_everybody(world: World, sharing: Sharing) -> None:
    """Legacy takes what it needs when it runs the job again."""
    said: list[Outcome] = []
    sharing.fails = {C}
    sharing.meanwhile = [lambda: said.append(sharing.deliver("two", L))]
    assert sharing.deliver("one") == ToLegacy(Reason.FAILED, recorded=True)
    assert said == [TAKEN]
    assert world.queues.sent == ["two"]
    assert sharing.deliver("one", L) == TAKEN, "room is kept for the one that was called"
    assert sharing.deliver("two", L) == Done("two")
    assert world.queues.sent == ["two", "one"]
    assert sharing.deliver("one", L) == Done("one")


def test_a_failure_gives_back(world: World, sharing: Sharing) -> None:
    """Kept for a person, it holds its key if anything, never the warehouse."""
    sharing.fails = {C, L}
    sharing.meanwhile = [lambda: sharing.deliver("two")]
    assert sharing.deliver("one") == ToLegacy(Reason.FAILED, recorded=True)
    assert isinstance(sharing.deliver("two"), ToLegacy)
    assert isinstance(sharing.deliver("one", L), Failed)
    assert world.runtime.ledger.resource_uses(None, 10) == []


def test_a_kill_lets_the_others_in_with_the_next_turn(world: World, sharing: Sharing) -> None:
    """What it took from a worker is free; the controller calls who waits for it."""
    bills = Sharing(world, "bills", "none")
    sharing.hold_elsewhere("one")
    assert bills.deliver("bill") == TAKEN
    world.runtime.changes.kill(NAME, "ada", "why")
    world.queues.sent.clear()
    world.runtime.tick.turn()
    assert world.queues.sent == ["bill"]


def test_a_dead_holder_gives_back_when_it_is_found_silent(world: World, sharing: Sharing) -> None:
    """In the same turn of the controller."""
    settings = world.runtime.settings
    sharing.hold_elsewhere("one")
    assert sharing.deliver("two") == TAKEN
    world.runtime.tick.turn()
    assert world.queues.sent == []
    world.clock.advance(settings.silent_after.total_seconds() + 1)
    world.runtime.tick.turn()
    assert world.queues.sent == ["one", "two"]
    assert sharing.deliver("two") == Done("two")
    assert sharing.deliver("one", L) == Done("one")


def test_what_could_not_be_called_is_called_by_the_controller(
    world: World, sharing: Sharing
) -> None:
    """The broker was away, or its worker died between its outcome and the call."""

    def cut_the_broker() -> None:
        world.queues.away = True

    sharing.meanwhile = [lambda: sharing.deliver("two"), cut_the_broker]
    assert sharing.deliver("one") == Done("one")
    world.queues.away = False
    assert world.queues.sent == []
    world.clock.advance(world.runtime.settings.lost_after.total_seconds() + 1)
    world.runtime.tick.turn()
    assert world.queues.sent == ["two"]


def test_with_an_order_it_takes_its_turn_first(world: World) -> None:
    """One that stands behind another of its key holds nothing, and is in no line."""
    world.runtime.capacities = {STORE: 1}
    ordered = Sharing(world, order="key")
    ordered.submit("one", "two")
    bills = Sharing(world, "bills", "none")
    said: list[Outcome] = []
    bills.meanwhile = [
        lambda: said.append(ordered.deliver("two")),
        lambda: said.append(ordered.deliver("one")),
    ]
    assert bills.deliver("bill") == Done("bill")
    assert said == [EARLY, TAKEN]
    assert world.queues.sent == ["one"]
    assert ordered.deliver("one") == Done("one")
    assert world.queues.sent == ["one", "two"]
    assert ordered.deliver("two") == Done("two")
    assert ordered.ran == ["one", "two"]


@pytest.mark.parametrize("effects", ["none", "commit"])
def test_a_ledger_that_is_away_makes_it_wait(world: World, effects: str) -> None:
    """Nobody else knows what is taken, so legacy does not run it unclaimed either."""
    world.runtime.capacities = {STORE: 1}
    sharing = Sharing(world, effects=effects)
    sharing.submit("one")
    world.line.cut("claim")
    assert isinstance(sharing.deliver("one"), Wait)
    assert isinstance(sharing.deliver("one", L), Wait)
    world.line.mend()
    assert sharing.deliver("one") == Done("one")


def test_in_this_process_a_job_without_room_is_refused(world: World, sharing: Sharing) -> None:
    """Nothing would send it again."""
    caught: list[str] = []

    def call() -> None:
        with pytest.raises(JobFailed, match="warehouse may be taken") as refused:
            sharing.pipeline.run(7)
        caught.append(refused.value.job_id)

    sharing.meanwhile = [call]
    assert sharing.deliver("one") == Done("one")
    assert world.runtime.ledger.job(NAME, caught[0]).state is JobState.CANCELLED
    ran = sharing.pipeline.run(7)
    assert sharing.ran == ["one", ran]


def test_who_holds_and_who_waits_is_told(world: World, sharing: Sharing) -> None:
    """Of a resource, and of a job."""
    desk, told = world.runtime.desk, []

    def look() -> None:
        sharing.deliver("two")
        sharing.deliver("three")
        world.clock.advance(90)
        told.append(desk.resources(None).to_json()["resources"])
        told.append(dict(desk.job("three").pages[0].facts)["waits"])
        told.append(desk.job("three").to_json()["waits_for"])

    sharing.meanwhile = [look]
    sharing.deliver("one")
    (page,), fact, told_json = told
    assert fact == told_json == "for warehouse, held by one, 1 job in front"
    assert (page["resource"], page["capacity"], page["taken"]) == (STORE, 1, 1)
    (holder,) = page["holders"]
    assert (holder["job_id"], holder["worker"], holder["seconds"]) == ("one", "w1", 90)
    assert [(one["job_id"], one["position"]) for one in page["waiters"]] == [
        ("two", 1),
        ("three", 2),
    ]
    after = dict(desk.job("two").pages[0].facts)["waits"]
    assert after == "for warehouse: it was called and is on its way"
    with pytest.raises(UnknownResource, match="did you mean 'warehouse'"):
        desk.resources("warehose")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (["warehouse"], "must be a dictionary"),
        ({"": 1}, "must be named by a word"),
        ({7: 1}, "must be named by a word"),
        ({STORE: 0}, "at least 1"),
        ({STORE: True}, "at least 1"),
        ({STORE: 0.5}, "at least 1"),
    ],
)
def test_a_declaration_that_cannot_be_read(resources: Any, expected: str) -> None:
    """With what to write."""
    with pytest.raises(DeclarationError, match=expected):
        SubPipeline(NAME, effects="none", resources=resources)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"warehose": 1}, "declares no such resource, did you mean 'warehouse'"),
        ({STORE: 5}, "takes 5 of 'warehouse', and there are 4"),
    ],
)
def test_what_cannot_be_had_is_refused_at_the_first_submission(
    no_settings: Path, resources: dict[str, int], expected: str
) -> None:
    """And when a worker starts; declaring itself reads no file."""
    (no_settings / "rollout.toml").write_text("[resource.warehouse]\ncapacity = 4\n")
    pipeline = SubPipeline(NAME, effects="none", resources=resources)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    with pytest.raises(DeclarationError, match=expected):
        pipeline.declared.check()
    with pytest.raises(DeclarationError, match=expected):
        pipeline.run(7)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("resource = 4", r"\[resource\] must hold a table for each"),
        ("[resource]\nwarehouse = 4", r"\[resource.warehouse\] must be a table, got 4"),
        ("[resource.warehouse]", r"\[resource.warehouse\] capacity is missing"),
        ("[resource.warehouse]\ncapacity = 0", "whole number of at least 1, got 0"),
        ("[resource.warehouse]\ncapacity = true", "whole number of at least 1, got True"),
        ("[resource.warehouse]\ncapacity = 1.5", "whole number of at least 1, got 1.5"),
        ("[resource.warehouse]\ncapasity = 4", "has no key 'capasity', did you mean 'capacity'"),
        ("[resource.warehouse", "must be TOML"),
    ],
)
def test_a_capacity_that_cannot_be_right(no_settings: Path, lines: str, expected: str) -> None:
    """It names the table and says what to write."""
    (no_settings / "rollout.toml").write_text(lines)
    with pytest.raises(WrongSettings, match=expected):
        read_capacities()


def test_a_controller_whose_file_is_wrong_goes_on(world: World, sharing: Sharing) -> None:
    """It says so, and goes by what the waiting jobs were told."""

    def wrong() -> Any:
        raise WrongSettings("rollout.toml [resource.warehouse] capacity is missing", "write one")

    sharing.hold_elsewhere("one")
    assert sharing.deliver("two") == TAKEN
    world.ledger.fail(NAME, "one", None, None, "broke", world.clock.now())
    world.runtime.tick._capacities = wrong
    report = world.runtime.tick.turn()
    assert any("capacity is missing" in said for said in report.errors)
    assert report.called == 1


def test_without_resources_nothing_of_them_is_asked(world: World) -> None:
    """The way of every other job stays as short as it was."""
    pipeline = world.declare()
    world.deliver(pipeline)
    assert not {"call_next", "resource_uses", "resources_of"} & set(world.line.trace)
