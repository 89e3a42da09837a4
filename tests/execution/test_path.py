"""A graph or a chain as the two paths of a sub-pipeline."""

import inspect
import threading
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from rollout.execution import (
    Barrier,
    Chain,
    Flow,
    Graph,
    Mapped,
    Stage,
    Step,
    as_path,
    asking,
    current,
)
from rollout.execution.errors import (
    CorruptRecord,
    NotRemote,
    Stopped,
    UnknownStep,
    WrongDeclaration,
)


def load(day: str, parts: int = 3) -> Graph:
    """The execution of one job."""
    return Graph(
        "load",
        [
            Step("fetch", lambda: day),
            Mapped("load", lambda day, part: f"{day}/{part}", range(parts), ["fetch"]),
            Barrier("complete", lambda before: len(before) == parts, after=["load"]),
            Step("publish", sorted, ["load"], after=["complete"]),
        ],
    )


def test_both_paths_give_the_same() -> None:
    """With the arguments, the name and the docstring of the function that builds."""
    path = as_path(load, workers=2)
    expected = ["2013-01-01/0", "2013-01-01/1"]
    assert path.legacy("2013-01-01", parts=2) == expected
    assert path.concurrent("2013-01-01", parts=2) == expected
    for function in (path.legacy, path.concurrent):
        assert inspect.signature(function) == inspect.signature(load)
        assert function.__name__ == "load"
        assert function.__doc__ == load.__doc__


def test_the_result_of_a_step_or_of_a_mapped_one() -> None:
    """By its name; the last one declared without."""
    assert as_path(load, result="load").concurrent("d") == ["d/0", "d/1", "d/2"]
    assert as_path(load, result="fetch").legacy("d") == "d"
    with pytest.raises(UnknownStep):
        as_path(load, result="lod").legacy("d")
    last_mapped = as_path(lambda: Graph("g", [Mapped("m", abs, [-1, -2])]))
    assert last_mapped.legacy() == last_mapped.concurrent() == [1, 2]


def test_a_chain_is_a_path_too() -> None:
    """What comes out of its last stage is the job's result, in order."""

    def squares(count: int) -> Flow:
        chain = Chain("c", [Stage("square", lambda batch: [one**2 for one in batch], 3)], size=4)
        return Flow(chain, range(count))

    path = as_path(squares)
    assert path.legacy(10) == path.concurrent(10) == [one**2 for one in range(10)]


def missing(given: Any) -> Any:
    """A step that fails."""
    raise KeyError(1)


def test_both_paths_raise_what_the_step_raised() -> None:
    """So what Celery retries, or a fallback records, is the same on both."""

    def broken(kind: str) -> Any:
        if kind == "graph":
            return Graph("g", [Step("a", lambda: 1), Step("b", missing, ["a"])])
        return Flow(Chain("c", [Stage("s", missing)]), [1])

    path = as_path(broken)
    for kind in ("graph", "chain"):
        for function in (path.legacy, path.concurrent):
            with pytest.raises(KeyError, match="1"):
                function(kind)


def test_corrupt_records_fail_both_paths() -> None:
    """A job has no dead letter."""

    def corrupt() -> Flow:
        return Flow(Chain("c", [Stage("s", int, each=True, corrupt=ValueError)]), ["x"])

    path = as_path(corrupt)
    for function in (path.legacy, path.concurrent):
        with pytest.raises(CorruptRecord, match="a record is corrupt in 's'"):
            function()


@pytest.mark.parametrize("kind", ["graph", "chain"])
def test_a_kill_ends_the_concurrent_path(kind: str) -> None:
    """No step or batch starts once the kill is seen, and the path does not return a result."""
    killed = threading.Event()
    after: list[int] = []

    def work(item: Any) -> Any:
        number = item if isinstance(item, int) else item[0]
        if killed.is_set():
            after.append(number)
        if number == 3:
            killed.set()
        return item

    def build() -> Any:
        if kind == "graph":
            return Graph("g", [Mapped("m", work, range(20), limit=1)])
        return Flow(Chain("c", [Stage("s", work)], size=1, buffer=1), range(20))

    path = as_path(build)
    with pytest.raises(Stopped), asking(lambda: not killed.is_set()):
        path.concurrent()
    assert after == []
    assert path.legacy() == list(range(20)), "legacy is asked nothing"


@pytest.mark.parametrize("way", ["concurrent", "legacy"])
def test_behind_a_mapped_step_without_items_waits_who_waited_for_it(way: str) -> None:
    """For what that one needs: else a step ran before, or in spite of, what it stands behind."""
    ran: list[str] = []

    def build(fails: bool) -> Graph:
        def fetch() -> list[str]:
            if fails:
                raise OSError("nobody there")
            ran.append("fetch")
            return []

        return Graph(
            "g",
            [
                Step("fetch", fetch),
                Mapped("load", missing, [], ["fetch"]),
                Mapped("check", missing, [], ["load"]),
                Barrier("complete", lambda before: before == {}, after=["check"]),
                Step(
                    "publish", lambda checked: ran.append("publish"), ["check"], after=["complete"]
                ),
            ],
        )

    path = as_path(build)
    with pytest.raises(OSError, match="nobody there"):
        getattr(path, way)(True)
    assert ran == []
    getattr(path, way)(False)
    assert ran == ["fetch", "publish"]


def test_a_mapped_step_without_items_needs_steps_that_exist() -> None:
    """A misspelt name is refused whatever there is to do today."""
    with pytest.raises(UnknownStep):
        Graph("g", [Step("fetch", list), Mapped("load", missing, [], ["fetsh"])])


def test_in_sequence_a_step_is_tried_again() -> None:
    """As often as by the engine."""
    attempts: list[int] = []

    def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("not yet")
        return "done"

    path = as_path(lambda: Graph("g", [Step("flaky", flaky, retries=2)]))
    assert path.legacy() == "done"
    assert len(attempts) == 3


def test_in_sequence_a_stage_is_tried_again() -> None:
    """With the same batch, as often as by the engine, which would else succeed alone."""
    attempts: list[int] = []

    def flaky(batch: list[int]) -> list[int]:
        running = current()
        assert running is not None
        attempts.append(running.attempt)
        if len(attempts) < 3:
            raise OSError("not yet")
        return batch

    stages = [Stage("flaky", flaky, retries=2)]
    assert as_path(lambda: Flow(Chain("c", stages), [1, 2])).legacy() == [1, 2]
    assert attempts == [1, 2, 3]
    assert current() is None


def test_in_sequence_the_seeds_are_those_of_the_engine() -> None:
    """Of a deterministic execution; else each copy of a job would differ from its legacy run."""

    def seed(given: Any = None) -> Any:
        running = current()
        assert running is not None
        return [running.seed] if isinstance(given, list) else running.seed

    def build(kind: str) -> Any:
        if kind == "graph":
            return Graph("g", [Step("a", seed)])
        return Flow(Chain("c", [Stage("s", seed)], size=1), [1, 2])

    path, plain = as_path(build, deterministic=True), as_path(build)
    for kind in ("graph", "chain"):
        assert path.legacy(kind) == path.concurrent(kind)
        assert path.legacy(kind) != plain.legacy(kind) == plain.concurrent(kind)


def test_in_sequence_the_soft_limit_of_a_job_ends_all_of_it() -> None:
    """It is thrown into the step that runs, and must not count as that step's failure."""
    ran = []

    def slow() -> None:
        ran.append("slow")
        raise SoftTimeLimitExceeded

    steps = [Step("slow", slow, retries=2), Step("other", lambda: ran.append("other"))]
    with pytest.raises(SoftTimeLimitExceeded):
        as_path(lambda: Graph("g", steps)).legacy()
    assert ran == ["slow"]


def test_in_sequence_the_soft_limit_of_a_job_is_no_corrupt_record() -> None:
    """Whatever a stage calls corrupt."""

    def slow(record: int) -> int:
        raise SoftTimeLimitExceeded

    chain = Chain("c", [Stage("slow", slow, each=True, corrupt=Exception, retries=1)])
    with pytest.raises(SoftTimeLimitExceeded):
        as_path(lambda: Flow(chain, [1])).legacy()


def test_what_builds_must_give_an_execution() -> None:
    """A function that did the work itself is told so."""
    with pytest.raises(WrongDeclaration, match="must give a Graph or a Flow, got 3"):
        as_path(lambda: 3).concurrent()  # type: ignore[arg-type, return-value]


def test_options_are_those_of_the_engine() -> None:
    """Such as where it runs."""
    with pytest.raises(NotRemote):
        as_path(load, executor="processes").concurrent("d")
    with pytest.raises(WrongDeclaration, match=r"has no option 'worker'; there are .* workers"):
        as_path(load, worker=4)


def test_an_option_of_the_other_engine_is_named() -> None:
    """Each stage of a chain has its workers; a run that got `workers=` said nothing of that."""

    def squares(count: int) -> Flow:
        return Flow(Chain("c", [Stage("same", list)]), range(count))

    path = as_path(squares, workers=4)
    with pytest.raises(WrongDeclaration, match=r"no option 'workers'.*Stage\(\.\.\., workers=4\)"):
        path.concurrent(3)
    chained = as_path(squares, run_times={})
    with pytest.raises(WrongDeclaration, match="ChainEngine has no option 'run_times'"):
        chained.concurrent(3)


@pytest.mark.parametrize("name", ["receipts", "dead_letter", "sink", "may_go_on"])
def test_an_option_of_one_run_is_refused(name: str) -> None:
    """With receipts a second job would give the first one's result; with a sink none at all."""
    with pytest.raises(WrongDeclaration, match=f"{name!r} cannot be an option of a path"):
        as_path(load, **{name: None})
