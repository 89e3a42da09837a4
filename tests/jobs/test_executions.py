"""A graph or a chain as a sub-pipeline's paths: both give the same, and a kill holds inside."""

from typing import Any

import pytest

from rollout.errors import DeclarationError, JobFailed
from rollout.execution import Chain, Flow, Graph, Stage, Step
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Done, Dropped, Failed, ToLegacy
from rollout.jobs.kill_watch import LOOK_S
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import Kill
from tests.builders import NAME
from tests.world import World

C, L = JobPath.CONCURRENT, JobPath.LEGACY


class Declared:
    """A sub-pipeline of three steps, which notes the steps and can do something after the first."""

    def __init__(self, world: World, effects: str = "none") -> None:
        self.ran: list[str] = []
        self.after_first: Any = lambda: None
        self.pipeline = SubPipeline(
            NAME, effects=effects, key="n", holdback_bp=0, runtime=world.runtime
        )

        @self.pipeline.concurrent(execution={"workers": 1})
        def steps(n: int) -> Graph:
            """Adds two."""
            return Graph("steps", [Step("one", lambda: self._first(n)), *self._others()])

    def _first(self, n: int) -> int:
        self.ran.append("one")
        self.after_first()
        return n

    def _others(self) -> list[Step]:
        def step(name: str) -> Any:
            def work(value: int) -> int:
                self.ran.append(name)
                return value + 1

            return work

        return [Step("two", step("two"), ["one"]), Step("three", step("three"), ["two"])]


@pytest.fixture
def steps(world: World) -> Declared:
    """Three steps, in scope."""
    declared = Declared(world)
    world.open(declared.pipeline)
    return declared


def test_a_graph_is_the_concurrent_path_and_its_steps_in_sequence_are_legacy(
    world: World, steps: Declared
) -> None:
    """Both give the same; the sub-pipeline looks like the function that builds the graph."""
    for path in JobPath:
        assert world.deliver(steps.pipeline, f"job-{path}", path) == Done(9), path
    assert steps.ran == ["one", "two", "three"] * 2
    assert steps.pipeline.__doc__ == "Adds two."


def test_a_legacy_path_that_is_there_stays(world: World) -> None:
    """The team's own sequential code is what the engine is compared with."""
    pipeline = SubPipeline(NAME, effects="none", key="n", runtime=world.runtime)

    @pipeline.legacy
    def own(n: int) -> Any:
        return ["own", n]

    @pipeline.concurrent(execution={})
    def flow(n: int) -> Flow:
        return Flow(Chain("c", [Stage("square", lambda batch: [one**2 for one in batch])]), [n])

    world.open(pipeline)
    assert world.deliver(pipeline, "job-1", L) == Done(["own", 7])
    assert world.deliver(pipeline, "job-2", C) == Done([49])


@pytest.mark.parametrize("name", [None, NAME])
def test_no_step_starts_after_a_kill_was_seen(
    world: World, steps: Declared, name: str | None
) -> None:
    """A whole kill has moved the job to legacy already; its worker lets go of it."""

    def kill() -> None:
        world.runtime.changes.kill(name, "ada", "why")
        world.clock.advance(LOOK_S)

    steps.after_first = kill
    assert world.deliver(steps.pipeline) == Dropped(Refusal.STALE)
    assert steps.ran == ["one"]
    assert (world.job().state, world.job().path) == (JobState.ACCEPTED, L)
    steps.after_first = lambda: None
    assert world.deliver(steps.pipeline, path=L) == Done(9)


def test_the_first_half_of_a_kill_is_enough(world: World, steps: Declared) -> None:
    """The latch stops the run; legacy has the job as fenced, which is no fallback of the path."""

    def latch() -> None:
        world.control.latch(Kill("k1", NAME, "ada", "why", world.clock.now()))
        world.clock.advance(LOOK_S)

    steps.after_first = latch
    assert world.deliver(steps.pipeline) == ToLegacy(Reason.FENCED, recorded=True)
    assert steps.ran == ["one"]
    assert not Reason.FENCED.means.fallback


def test_an_unsafe_job_that_a_kill_stopped_is_kept(world: World) -> None:
    """Legacy may not repeat what may have been done; a person looks."""
    declared = Declared(world, "unsafe")
    world.open(declared.pipeline)

    def kill() -> None:
        world.runtime.changes.kill(NAME, "ada", "why")
        world.clock.advance(LOOK_S)

    declared.after_first = kill
    outcome = world.deliver(declared.pipeline)
    assert declared.ran == ["one"]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, JobFailed)
    assert world.job().state is JobState.FAILED


def test_a_store_that_does_not_answer_stops_no_run(world: World, steps: Declared) -> None:
    """What has started may end; the fence keeps what a kill forbids from being committed."""

    def cut() -> None:
        world.control.reachable = False
        world.clock.advance(LOOK_S)

    steps.after_first = cut
    assert world.deliver(steps.pipeline) == Done(9)


def test_a_path_of_ones_own_may_ask(world: World) -> None:
    """`job.goes_on()`: True until a kill was seen, and always on legacy."""
    answers = []
    pipeline = SubPipeline(NAME, effects="none", key="n", holdback_bp=0, runtime=world.runtime)

    @pipeline.legacy
    def old(n: int, job: Job) -> Any:
        answers.append(job.goes_on())
        return n

    @pipeline.concurrent
    def new(n: int, job: Job) -> Any:
        answers.append(job.goes_on())
        world.runtime.changes.kill(NAME, "ada", "why")
        answers.append(job.goes_on())  # looked at a moment ago
        world.clock.advance(LOOK_S)
        answers.append(job.goes_on())
        return n

    world.open(pipeline)
    outcome = world.deliver(pipeline)
    assert outcome != Done(3)
    assert not isinstance(outcome, Refusal)
    assert answers == [True, True, False]
    world.deliver(pipeline, path=L)
    assert answers[3:] == [True]


@pytest.mark.parametrize("options", [True, 4, "threads"])
def test_options_that_are_none_are_refused(world: World, options: Any) -> None:
    """With what to write."""
    pipeline = SubPipeline(NAME, effects="none", key="n", runtime=world.runtime)
    with pytest.raises(DeclarationError, match=r"execution=\{\"workers\": 4\}"):
        pipeline.concurrent(lambda n: Graph("g", []), execution=options)
