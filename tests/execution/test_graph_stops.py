"""How a run of a graph ends early: a kill, ctrl-C, a stop from outside, a fault of the engine."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.execution import Graph, GraphEngine, Step, asking, current
from rollout.execution.errors import (
    Stalled,
    Stopped,
    WaitsForItself,
)
from tests.execution.graphs import nothing
from tests.execution.threads import execution_threads
from tests.waiting import wait_until


def test_may_go_on_is_asked_before_each_step() -> None:
    """Once it says no, nothing starts any more and the run ends with that reason."""
    answers = iter([True, True, False])
    ran: list[int] = []
    graph = Graph("g", [Step(f"s{n}", ran.append, args=(n,)) for n in range(10)])
    engine = GraphEngine(graph, workers=1, may_go_on=lambda: next(answers))
    with pytest.raises(Stopped, match="may_go_on said no before s2"):
        engine.run()
    assert ran == [0, 1]
    assert engine.report().states["s5"] == "cancelled"


@pytest.mark.parametrize("answer", [None, 1, "yes", OSError("store away")])
def test_in_doubt_nothing_starts(answer: Any) -> None:
    """What is not a clear yes, or no answer at all, is a no."""

    def may_go_on() -> Any:
        if isinstance(answer, OSError):
            raise answer
        return answer

    ran: list[int] = []
    graph = Graph("g", [Step("a", ran.append, args=(1,))])
    with pytest.raises(Stopped, match="may_go_on"), asking(may_go_on):
        GraphEngine(graph).run()
    assert ran == []


def test_a_run_inside_a_step_is_asked_too() -> None:
    """`asking` holds for runs that steps start, in their threads."""
    asked: list[int] = []

    def inner() -> int:
        GraphEngine(Graph("inner", [Step("b", nothing)])).run()
        return len(asked)

    def may_go_on() -> bool:
        asked.append(1)
        return True

    with asking(may_go_on):
        report = GraphEngine(Graph("outer", [Step("a", inner)]), workers=1).run()
    assert report.results == {"a": 2}


def test_a_step_that_waits_for_itself_in_a_pool_of_one() -> None:
    """A run inside of a step on the same executor is refused; on threads of its own it works."""
    with ThreadPoolExecutor(1) as pool:

        def inner() -> Any:
            return GraphEngine(Graph("inner", [Step("b", lambda: 1)]), executor=pool).run().results

        def apart() -> Any:
            return GraphEngine(Graph("inner", [Step("b", lambda: 1)]), workers=1).run().results

        steps = [Step("same", inner), Step("apart", apart)]
        report = GraphEngine(Graph("g", steps), executor=pool, workers=1).run(check=False)
    assert isinstance(report.failures["same"].error, WaitsForItself)
    assert report.results == {"apart": {"b": 1}}


@settings(max_examples=15)
@given(st.integers(0, 30), st.integers(1, 4))
def test_ctrl_c_at_any_point_leaves_no_thread(after: int, workers: int) -> None:
    """The caller gets KeyboardInterrupt once everything has ended, and nothing more starts."""
    main = threading.main_thread().ident
    assert main is not None
    lock = threading.Lock()
    started = 0
    hit = threading.Event()

    def work() -> None:
        nonlocal started
        with lock:
            started += 1
            is_the_one = started == after + 1
        if is_the_one:
            signal.pthread_kill(main, signal.SIGINT)
            hit.set()
        time.sleep(0.0005)

    steps = [Step(f"s{n}", work, after=[f"s{n - 4}"] if n > 3 else []) for n in range(40)]
    engine = GraphEngine(Graph("g", steps), workers=workers)

    def run() -> None:
        engine.run(check=False)
        time.sleep(1)  # the signal may come to the last steps, when the run is over

    with pytest.raises(KeyboardInterrupt):
        run()
    assert hit.is_set()
    wait_until(lambda: not execution_threads(), "no thread of the run is left", 5)
    assert "running" not in engine.report().states.values()


def test_a_second_run_of_the_interpreter_is_free_of_the_first() -> None:
    """After a stop from outside, the engine says so and leaves nothing running."""
    gate = threading.Event()
    steps = [Step("a", gate.wait, args=(5,)), Step("b", nothing, after=["a"])]
    engine = GraphEngine(Graph("g", steps))
    engine.start()
    wait_until(lambda: engine.why("a").state == "running", "a runs")
    engine.stop("enough")
    engine.stop("again")
    gate.set()
    with pytest.raises(Stopped, match="the run stopped: enough"):
        engine.wait()
    assert engine.report().states == {"a": "succeeded", "b": "cancelled"}


def test_a_running_step_sees_the_stop() -> None:
    """A long step that asks ends early, and counts as cancelled."""
    began = threading.Event()

    def patient() -> None:
        running = current()
        assert running is not None
        began.set()
        while True:
            time.sleep(0.002)
            running.check()

    engine = GraphEngine(Graph("g", [Step("patient", patient)]))
    engine.start()
    began.wait(5)
    engine.stop("enough")
    with pytest.raises(Stopped):
        engine.wait()
    assert engine.report().states == {"patient": "cancelled"}


def test_a_fault_of_the_engine_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """When work is left and nothing could ever start, the run says so instead of waiting."""
    engine = GraphEngine(Graph("g", [Step("a", nothing), Step("b", nothing)]))
    monkeypatch.setattr(engine.board, "take", lambda: None)
    with pytest.raises(Stalled, match="2 ready steps"):
        engine.run()


def test_ctrl_c_while_threads_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have started end, though nobody came to wait for them."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        if len(started) == 3:
            raise KeyboardInterrupt

    steps = [Step(f"s{n}", time.sleep, args=(0.01,)) for n in range(20)]
    engine = GraphEngine(Graph("g", steps), workers=6)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert not any(thread.is_alive() for thread in started)
    assert "cancelled" in engine.report().states.values()


def test_a_second_ctrl_c_does_not_wait() -> None:
    """The first waits for what runs; who presses it again gets the terminal back."""
    main, gate = threading.main_thread().ident, threading.Event()
    assert main is not None
    engine = GraphEngine(Graph("g", [Step("a", gate.wait, args=(20,))]))
    for after_s in (0.1, 0.4):
        threading.Timer(after_s, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.run()
        assert execution_threads() == ["execution-0"]
    finally:
        gate.set()


def test_ctrl_c_and_overdue_work() -> None:
    """The caller hears of its own interruption, after the wait that it allowed."""
    main, gate = threading.main_thread().ident, threading.Event()
    assert main is not None
    steps = [Step("a", gate.wait, args=(20,), timeout_s=0.05)]
    engine = GraphEngine(Graph("g", steps), overdue_wait_s=0.5)
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.run()
    finally:
        gate.set()
