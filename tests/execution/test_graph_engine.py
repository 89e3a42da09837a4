"""Runs of graphs on real threads."""

import random
import threading
import time
from collections import Counter
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.execution import Barrier, Graph, GraphEngine, Mapped, Step, current
from rollout.execution.errors import (
    BarrierClosed,
    StepsFailed,
    StepTimedOut,
    StillRuns,
)
from rollout.execution.running import seed_of
from tests.execution.graphs import RESOURCES, Drawn, drawn_graphs, nothing
from tests.execution.threads import execution_threads
from tests.waiting import wait_until


class Watch:
    """Notes what runs at once, and what has ended before what starts."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.lock = threading.Lock()
        self.runs: Counter[str] = Counter()
        self.ended: set[str] = set()
        self.held: Counter[str] = Counter()
        self.wrong: list[str] = []

    def work(self, step: Step) -> Any:
        """The work of one step."""

        def run(*args: Any) -> str:
            with self.lock:
                self.runs[step.name] += 1
                self.held.update(step.resources)
                for name, held in self.held.items():
                    if held > RESOURCES[name]:
                        self.wrong.append(f"{held} of {name}")
                early = {*step.needs, *step.after} & self.real - self.ended
                if early:
                    self.wrong.append(f"{step.name} before {early}")
            time.sleep(0.0002 * (len(step.name) % 3))
            with self.lock:
                self.held.subtract(step.resources)
                self.ended.add(step.name)
            if step.name in self.drawn.failing:
                raise ValueError(step.name)
            return step.name

        return run

    @property
    def real(self) -> set[str]:
        """Names of steps with work, that do run in this graph without failures."""
        if self.drawn.failing:
            return set()
        return {step.name for step in self.drawn.steps if isinstance(step, Step)}


@settings(max_examples=60)
@given(drawn_graphs(), st.integers(1, 6))
def test_every_run_keeps_the_rules(drawn: Drawn, workers: int) -> None:
    """On threads: each step once, after its parents, within every capacity; states as decided."""
    watch = Watch(drawn)
    works = {step.name: watch.work(step) for step in drawn.steps if isinstance(step, Step)}
    report = GraphEngine(drawn.graph(**works), workers=workers).run(check=False)
    assert watch.wrong == []
    ran = {name for name, state in report.states.items() if state in ("succeeded", "failed")}
    assert set(watch.runs) == {name for name in ran if name in works}
    assert set(watch.runs.values()) <= {1}
    assert not report.ok or not drawn.failing & ran
    assert set(report.results) | set(report.failures) == set(report.states)


def test_results_are_handed_over() -> None:
    """Needs in order, a mapped step as a list, a barrier by name, then fixed arguments."""

    def take(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    graph = Graph(
        "g",
        [
            Step("one", lambda: 1),
            Mapped("square", lambda one, item: item * item + one, [1, 2, 3], ["one"]),
            Barrier("both", after=["one", "square"]),
            Step("last", take, ["square", "both", "one"], (7,), {"key": "x"}),
        ],
    )
    report = GraphEngine(graph).run()
    squares = {"square[0]": 2, "square[1]": 5, "square[2]": 10}
    assert report.results["last"] == (([2, 5, 10], {"one": 1, **squares}, 1, 7), {"key": "x"})


def test_a_failure_is_loud_and_partial_results_are_delivered() -> None:
    """The run raises, and what did succeed is with the error."""
    steps = [Step("good", lambda: 1), Step("bad", lambda: 1 / 0), Step("after", nothing, ["bad"])]
    with pytest.raises(StepsFailed, match=r"2 of 3 steps .* first bad failed") as caught:
        GraphEngine(Graph("g", steps)).run()
    assert caught.value.report.results == {"good": 1}
    assert set(caught.value.report.failures) == {"bad", "after"}


def test_stop_on_failure_starts_nothing_more() -> None:
    """What does not depend on the failed step is cancelled as well."""
    steps = [Step("bad", lambda: 1 / 0), Step("other", nothing)]
    engine = GraphEngine(
        Graph("g", steps), workers=1, run_times={"bad": 9, "other": 1}, stop_on_failure=True
    )
    report = engine.run(check=False)
    assert report.states == {"bad": "failed", "other": "cancelled"}


def test_a_barrier_lets_nothing_through_until_its_check_passes() -> None:
    """It asks again after its pause, and takes no slot in between."""
    answers = [False, False, True]
    seen: list[Any] = []

    def check(before: dict[str, Any]) -> bool:
        seen.append(before)
        return answers.pop(0)

    graph = Graph(
        "g",
        [
            Step("a", lambda: 5),
            Barrier("gate", check, after=["a"], retries=2, retry_wait_s=0.01),
            Step("b", lambda: len(seen), after=["gate"]),
        ],
    )
    report = GraphEngine(graph, workers=1).run()
    assert report.results["b"] == 3
    assert seen == [{"a": 5}] * 3


@pytest.mark.parametrize("came", [False, None, 1, "yes"])
def test_a_barrier_passes_by_true_only(came: Any) -> None:
    """A check that forgot its answer does not let anything through."""
    graph = Graph("g", [Barrier("gate", lambda before: came), Step("b", nothing, after=["gate"])])
    report = GraphEngine(graph).run(check=False)
    assert report.states == {"gate": "failed", "b": "blocked"}
    assert isinstance(report.failures["gate"].error, BarrierClosed)


def test_a_step_is_tried_again() -> None:
    """So often and no more; the attempt knows its number."""
    attempts: list[int] = []

    def flaky() -> str:
        running = current()
        assert running is not None
        attempts.append(running.attempt)
        if running.attempt < 3:
            raise OSError("not yet")
        return "done"

    graph = Graph("g", [Step("flaky", flaky, retries=2, retry_wait_s=0.005)])
    assert GraphEngine(graph, workers=2).run().results == {"flaky": "done"}
    assert attempts == [1, 2, 3]
    attempts.clear()
    report = GraphEngine(Graph("g", [Step("flaky", flaky, retries=1)])).run(check=False)
    assert report.failures["flaky"].attempts == 2
    assert attempts == [1, 2]


def test_a_step_over_its_limit_has_failed_at_once() -> None:
    """Its dependents are blocked while its thread still runs, and its slot is not given away."""
    gate = threading.Event()
    seen: list[str] = []
    let_go: list[bool] = []

    def slow() -> None:
        let_go.append(gate.wait(10))

    def clean_up(failure: Any) -> None:
        seen.append(str(failure.error))
        gate.set()

    graph = Graph(
        "g",
        [
            Step("slow", slow, timeout_s=0.05),
            Step("next", nothing, ["slow"]),
            Step("clean", clean_up, ["slow"], policy="allow_failure"),
        ],
    )
    report = GraphEngine(graph, workers=2).run(check=False)
    assert report.states == {"slow": "failed", "next": "blocked", "clean": "succeeded"}
    assert isinstance(report.failures["slow"].error, StepTimedOut)
    assert seen == [str(report.failures["slow"].error)]
    assert let_go == [True], "the clean-up ran while the slow thread still did"


def test_a_step_can_ask_whether_its_time_is_up() -> None:
    """`check` raises in the step's own thread, and a retry begins when that has ended."""
    attempts: list[int] = []

    def patient() -> int:
        running = current()
        assert running is not None
        attempts.append(running.attempt)
        if running.attempt == 2:
            return 2
        while True:
            time.sleep(0.005)
            running.check()

    graph = Graph("g", [Step("patient", patient, timeout_s=0.05, retries=1)])
    assert GraphEngine(graph, workers=1).run().results == {"patient": 2}
    assert attempts == [1, 2]


def test_a_hanging_step_with_retries_fails_after_its_second_limit() -> None:
    """It is not waited for for ever, though nobody can start the next attempt."""
    gate = threading.Event()
    let_go: list[bool] = []
    graph = Graph(
        "g",
        [
            Step("hangs", lambda: let_go.append(gate.wait(10)), timeout_s=0.04, retries=3),
            Step("c", lambda failure: gate.set(), ["hangs"], policy="allow_failure"),
        ],
    )
    report = GraphEngine(graph, workers=2).run(check=False)
    assert report.states == {"hangs": "failed", "c": "succeeded"}
    assert report.failures["hangs"].attempts == 1
    assert let_go == [True]


def test_overdue_work_is_waited_for_as_long_as_told() -> None:
    """Then the run ends and names what it leaves; without a wait it would hang with it."""
    gate = threading.Event()
    engine = GraphEngine(
        Graph("g", [Step("hangs", lambda: gate.wait(20), timeout_s=0.03), Step("b", nothing)]),
        workers=3,
        overdue_wait_s=0.1,
    )
    try:
        with pytest.raises(StillRuns, match="hangs") as caught:
            engine.run()
        assert caught.value.names == ("hangs",)
        wait_until(lambda: len(execution_threads()) == 1, "only the hanging thread is left", 3)
    finally:
        gate.set()


def test_the_limit_of_a_mapped_step_is_under_the_pools_size() -> None:
    """Three of twelve at once, in a pool of eight."""
    now, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.003)
        with lock:
            now -= 1
        return item

    report = GraphEngine(Graph("g", [Mapped("m", work, range(12), limit=3)]), workers=8).run()
    assert most == 3
    assert len(report.results) == 12


def test_one_waiter_more_is_woken_for_each_share_given_back() -> None:
    """A light step gives back, and the heavy one that waited starts at once, not at a poll."""
    started: dict[str, float] = {}
    ended: dict[str, float] = {}

    def work(name: str) -> None:
        started[name] = time.perf_counter()
        time.sleep(0.02)
        ended[name] = time.perf_counter()

    steps = [
        Step("light", work, args=("light",), resources={"db": 1}),
        Step("heavy", work, args=("heavy",), resources={"db": 2}),
    ]
    graph = Graph("g", steps, resources={"db": 2})
    GraphEngine(graph, workers=2, run_times={"light": 2, "heavy": 1}).run()
    assert 0 <= started["heavy"] - ended["light"] < 0.5


def test_deterministic_results_are_in_declared_order() -> None:
    """Whatever ends first, so that a sum in floating point is the same with any workers."""
    values = [10.0 ** random.Random(n).uniform(-8, 8) for n in range(60)]
    sums: set[float] = set()
    loose: set[tuple[str, ...]] = set()

    def work(value: float) -> float:
        time.sleep(random.random() * 0.002)
        return value

    graph = Graph("g", [Step(f"s{n}", work, args=(one,)) for n, one in enumerate(values)])
    for workers in (1, 2, 7):
        results = GraphEngine(graph, workers=workers, deterministic=True).run().results
        assert list(results) == graph.names
        sums.add(sum(results.values()))
        loose.add(tuple(GraphEngine(graph, workers=workers).run().results))
    assert len(sums) == 1
    assert len(loose) > 1, "without it the order is that of their ends"


def test_deterministic_steps_have_a_seed_from_their_name() -> None:
    """The same in each run and for each number of workers; another one for another step."""

    def draw() -> Any:
        running = current()
        assert running is not None
        return running.seed

    graph = Graph("g", [Step("a", draw), Step("b", draw)])
    first = GraphEngine(graph, workers=1, deterministic=True).run().results
    assert first == GraphEngine(graph, workers=2, deterministic=True).run().results
    assert first["a"] != first["b"]
    assert first["a"] == seed_of("a") == int(blake2b(b"a", digest_size=8).hexdigest(), 16)
    assert GraphEngine(graph).run().results == {"a": None, "b": None}


def test_an_empty_graph_is_done() -> None:
    """Nothing to do is no reason to wait."""
    report = GraphEngine(Graph("g", [])).run()
    assert report.ok
    assert report.results == {}
    assert report.nearness == 1.0


def test_barriers_alone_need_no_slot() -> None:
    """A chain of barriers without checks is through before a thread starts."""
    # More of them than the interpreter would take calls inside of each other.
    barriers = [Barrier(f"b{n}", after=[f"b{n - 1}"] if n else []) for n in range(3_000)]
    report = GraphEngine(Graph("g", barriers)).run()
    assert report.ok
    assert report.slices == ()


def test_the_first_of_a_long_line_fails() -> None:
    """Each of its 2,000 dependents says by way of what, in bounded space."""

    def broken() -> None:
        raise ValueError("the first is broken")

    line = [Step("s0", broken), *(Step(f"s{i}", print, [f"s{i - 1}"]) for i in range(1, 2_000))]
    report = GraphEngine(Graph("line", line), workers=2).run(check=False)
    assert len(report.failures) == 2_000
    last = report.failures["s1999"]
    assert last.state == "blocked"
    assert (last.path[0], last.path[-1], len(last.path)) == ("s0", "s1999", 41)
    assert "..." in last.path
