"""What could never run is refused when it is declared, with the reason."""

from typing import Any

import pytest

from rollout.execution import (
    Auto,
    Barrier,
    Bytes,
    Chain,
    ChainEngine,
    Graph,
    GraphEngine,
    Mapped,
    Stage,
    Step,
)
from rollout.execution.errors import NotRemote, UnknownStep, WrongDeclaration
from tests.execution.graphs import nothing


@pytest.mark.parametrize(
    ("steps", "resources", "says"),
    [
        ([Step("a", nothing), Step("a", nothing)], {}, "two steps are named 'a'"),
        ([Step("a", nothing), Mapped("a", nothing, [1])], {}, "two steps are named 'a'"),
        ([Step("a", nothing, ["c"]), Step("b", nothing)], {}, "no step named 'c' that 'a'"),
        ([Step("load", nothing), Barrier("b", after=["laod"])], {}, "did you mean 'load'"),
        (
            [Step("a", nothing, ["c"]), Step("b", nothing, ["a"]), Step("c", nothing, ["b"])],
            {},
            "got the cycle",
        ),
        ([Step("a", nothing, ["a"])], {}, "got the cycle a > a"),
        ([Step("a", nothing, resources={"disk": 1})], {}, "which nobody declared"),
        ([Step("a", nothing, resources={"disk": 3})], {"disk": 2}, "takes 3 of resource 'disk'"),
        ([Step("a", nothing, resources={"disk": 0})], {"disk": 2}, "weight of 'disk' in 'a'"),
        ([], {"disk": 0}, "capacity of resource 'disk' must be at least 1, got 0"),
        ([Mapped("a", nothing, [1], limit=0)], {}, "limit of 'a' must be at least 1"),
        ([Step("a", nothing, retries=-1)], {}, "retries of 'a'"),
        ([Step("a", 3)], {}, "must be a function, got 3"),  # type: ignore[arg-type]
        ([Step("a", nothing, timeout_s=0)], {}, "timeout_s of 'a'"),
        ([Step("a", nothing, policy="sometimes")], {}, "policy of 'a' must be one of"),
    ],
)
def test_a_graph_that_could_never_run(
    steps: list[Any], resources: dict[str, int], says: str
) -> None:
    """Cycles, unknown names, resources that are missing or too small, limits that are none."""
    with pytest.raises(WrongDeclaration, match=says):
        Graph("wrong", steps, resources=resources)


def test_the_cycle_is_named() -> None:
    """A reader sees which steps wait for each other."""
    with pytest.raises(WrongDeclaration) as caught:
        Graph("wrong", [Step("a", nothing, ["b"]), Step("b", nothing, ["a"])])
    assert caught.value.problem.count(" > ") == 2
    assert {"a", "b"} <= set(caught.value.problem.split("cycle ")[1].split(" > "))


@pytest.mark.parametrize("workers", [0, -1])
def test_a_run_without_a_slot(workers: int) -> None:
    """Zero workers would queue for ever, so there is no such run."""
    with pytest.raises(WrongDeclaration, match="workers must be at least 1"):
        GraphEngine(Graph("g", [Step("a", nothing)]), workers=workers)


def test_an_executor_nobody_knows() -> None:
    """A name that is no place to run."""
    with pytest.raises(WrongDeclaration, match="executor must be 'threads'"):
        GraphEngine(Graph("g", [Step("a", nothing)]), executor="cloud")


def test_work_that_no_process_can_find() -> None:
    """A function without a name of its own cannot cross to a process."""
    with pytest.raises(NotRemote, match="must be importable"):
        GraphEngine(Graph("g", [Step("a", lambda: 1)]), executor="processes")


def test_why_of_an_unknown_step() -> None:
    """A typing mistake is answered with the name that was meant."""
    engine = GraphEngine(Graph("g", [Step("publish", nothing)]))
    with pytest.raises(UnknownStep, match="did you mean 'publish'"):
        engine.why("publsh")


STAGE = Stage("work", list)


@pytest.mark.parametrize(
    ("stages", "options", "says"),
    [
        ([], {}, "must have a stage"),
        ([STAGE, STAGE], {}, "two parts of a chain are named 'work'"),
        ([Stage("a", 3)], {}, "must be a function, got 3"),  # type: ignore[arg-type]
        ([Stage("sink", list)], {}, "two parts of a chain are named 'sink'"),
        ([Stage("a", list, workers=0)], {}, "workers of 'a' must be at least 1"),
        ([Stage("a", list, timeout_s=-1)], {}, "timeout_s of 'a'"),
        ([Stage("a", list, retries=-1)], {}, "retries and retry_wait_s of 'a'"),
        ([Stage("a", list, corrupt=ValueError)], {}, "takes whole batches"),
        ([STAGE], {"buffer": 0}, "buffer must be at least 1"),
        ([STAGE], {"size": 0}, "size must be a number of records"),
        ([STAGE], {"size": True}, "size must be a number of records"),
        ([STAGE], {"size": Bytes(0)}, "size must be a number of records"),
        ([STAGE], {"size": Auto(5, 4)}, "size must be a number of records"),
    ],
)
def test_a_chain_that_could_never_run(
    stages: list[Stage], options: dict[str, Any], says: str
) -> None:
    """No stage, no worker, no room, no size."""
    with pytest.raises(WrongDeclaration, match=says):
        Chain("wrong", stages, **options)


def test_a_deterministic_run_needs_a_declared_size() -> None:
    """A size that follows the clock cuts other batches on each run."""
    with pytest.raises(WrongDeclaration, match="same batches each time"):
        ChainEngine(Chain("c", [STAGE], size="auto"), [], deterministic=True)


def test_a_source_that_is_none() -> None:
    """A number is no source."""
    wrong: Any = 3
    with pytest.raises(WrongDeclaration, match="a source must be iterable"):
        ChainEngine(Chain("c", [STAGE]), wrong).run()


def test_a_long_cycle_is_named_in_short() -> None:
    """Its beginning and its end; all names of it would be a page."""
    count = 10_000
    with pytest.raises(WrongDeclaration) as caught:
        Graph("ring", [Step(f"s{i}", print, [f"s{(i - 1) % count}"]) for i in range(count)])
    said = str(caught.value)
    assert "got the cycle s" in said
    assert " > ... > " in said
    assert len(said) < 600
