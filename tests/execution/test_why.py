"""At any moment: the exact unmet edge, resource with its holder, or missing slot."""

import threading
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.execution import Barrier, Chain, ChainEngine, Graph, GraphEngine, Landing, Stage, Step
from rollout.execution.why import table
from tests.execution.graphs import Drawn, drawn_graphs
from tests.waiting import wait_until


class Held:
    """A run of a graph whose steps wait for a gate of their own."""

    def __init__(self, steps: Callable[["Held"], list[Any]], **options: Any) -> None:
        self.gates: dict[str, threading.Event] = {}
        resources = options.pop("resources", {})
        self.engine = GraphEngine(Graph("held", steps(self), resources=resources), **options)
        self.engine.start()

    def step(self, name: str, *needs: str, **more: Any) -> Step:
        """A step that runs until it is let go."""
        gate = self.gates[name] = threading.Event()
        return Step(name, lambda *_: gate.wait(10), needs, **more)

    def let_go(self) -> None:
        """End everything."""
        for gate in self.gates.values():
            gate.set()
        self.engine.wait(check=False)


def test_an_edge() -> None:
    """Which parents have not ended, and what they do."""
    held = Held(lambda h: [h.step("a"), h.step("b", "a"), h.step("c", "a", "b")])
    wait_until(lambda: held.engine.why("a").state == "running", "a runs")
    why = held.engine.why("c")
    assert why.waits_for == (("a", "running"), ("b", "waiting"))
    assert why.sentence == "waits for a (running), b (waiting)"
    assert str(why) == "c: waits for a (running), b (waiting)"
    assert held.engine.why("a").sentence.startswith("attempt 1 runs for 0.")
    assert held.engine.idle_reason() == (
        "2 of 3 slots are idle: all 2 steps that have not started wait for a"
    )
    held.let_go()
    assert held.engine.why("c").sentence == "has its result"
    assert held.engine.idle_reason() == ""


def test_a_resource_with_its_holder() -> None:
    """How much is free, who holds the rest, and for how long."""
    db = {"db": 2}
    held = Held(
        lambda h: [h.step("first", resources=db), h.step("second", resources=db)],
        resources={"db": 3},
    )
    wait_until(lambda: held.engine.why("first").state == "running", "the first runs")
    why = held.engine.why("second")
    assert (why.state, why.resource, why.free) == ("ready", "db", 1)
    assert [(name, weight) for name, weight, _ in why.holders] == [("first", 2)]
    assert why.sentence.startswith("waits for 2 of 'db', 1 free: first holds 2 for 0.")
    assert "all 1 ready steps wait for resources; second: waits for 2" in held.engine.idle_reason()
    assert why.to_json()["holders"][0][0] == "first"
    held.let_go()


def test_a_missing_slot() -> None:
    """How many run, and how many are ahead."""
    held = Held(
        lambda h: [h.step("a"), h.step("b"), h.step("c")],
        workers=1,
        run_times={"a": 3, "b": 2, "c": 1},
    )
    wait_until(lambda: held.engine.why("a").state == "running", "a runs")
    assert held.engine.why("c").sentence == "waits for a slot: 1 of 1 run, 1 ahead of it"
    assert held.engine.idle_reason() == "no slot is idle: 1 of 1 run"
    held.let_go()


def test_a_pause_and_a_limit() -> None:
    """A step between two attempts, and one whose thread did not end in time."""
    held = Held(
        lambda h: [
            Barrier("gate", lambda before: False, retries=1, retry_wait_s=0.6),
            h.step("slow", timeout_s=0.02),
        ]
    )
    wait_until(lambda: "pauses" in held.engine.why("gate").sentence, "the gate pauses")
    assert held.engine.why("gate").sentence == "pauses 0.6 s after attempt 1"
    wait_until(lambda: held.engine.why("slow").state == "failed", "slow is over its limit")
    assert "slow failed (by way of slow): StepTimedOut" in held.engine.why("slow").sentence
    held.engine.stop("enough")
    held.let_go()
    assert held.engine.why("gate").state == "cancelled"


def test_a_blocked_step_names_what_failed() -> None:
    """With the way from the root to it."""
    steps = [Step("a", lambda: 1 / 0), Step("b", lambda a: 1, ["a"]), Step("c", lambda b: 1, ["b"])]
    engine = GraphEngine(Graph("g", steps))
    engine.run(check=False)
    why = engine.why("c")
    assert why.state == "blocked"
    assert "by way of a > b > c" in why.sentence
    assert "ZeroDivisionError" in why.sentence
    lines = table([engine.why(name) for name in "abc"]).splitlines()
    assert lines[0].split() == ["step", "state", "why"]
    assert lines[3].startswith("c     blocked  c blocked (by way of")


@settings(max_examples=40)
@given(drawn_graphs(), st.integers(1, 4))
def test_while_work_is_left_there_is_a_reason(drawn: Drawn, workers: int) -> None:
    """Never empty, never an alarm, and every step has an answer: asked at each moment of a run."""
    asked: list[str] = []

    def work(*args: Any) -> None:
        asked.append(engine.idle_reason())
        for name in engine.graph.names:
            assert engine.why(name).sentence
        time.sleep(0.0001)

    works = {step.name: work for step in drawn.steps}
    engine = GraphEngine(drawn.graph(**works), workers=workers)
    report = engine.run(check=False)
    assert all(asked)
    assert not any("ALARM" in reason for reason in asked)
    assert "failed" not in report.states.values()
    assert engine.idle_reason() == ""


def test_a_batch() -> None:
    """The batch before it, its stage's workers, or the room behind one."""
    gate, sink_gate = threading.Event(), threading.Event()

    def slow(batch: list[int]) -> list[int]:
        if batch[0] == 0:
            gate.wait(10)
        return batch

    def sink(rows: list[int], landing: Landing) -> None:
        sink_gate.wait(10)

    chain = Chain("c", [Stage("slow", slow, 2), Stage("last", list)], size=1, buffer=1)
    engine = ChainEngine(chain, range(50), sink=sink)
    engine.start()
    # Batch 0 holds one worker; the others fill every buffer behind it and then before it.
    wait_until(lambda: "no room" in engine.why(40).sentence, "the source has no room")
    assert engine.why(0).sentence.startswith("in 'slow' for ")
    first = engine.why(1)
    assert first.waits_for == (("batch 0", "running"),)
    assert first.sentence.startswith("waits before 'sink' for batch 0, which is in 'slow' for")
    answers = [engine.why(number) for number in range(12)]
    assert {answer.state for answer in answers} <= {"running", "waiting", "ready"}
    rooms = [one for one in answers if one.resource == "room behind slow"]
    assert rooms, table(answers)
    reason = engine.idle_reason()
    assert "no room before" in reason
    gate.set()
    wait_until(lambda: engine.why(0).state == "running", "batch 0 is at the sink")
    wait_until(lambda: "'sink'" in engine.why(0).sentence, "batch 0 is at the sink")
    sink_gate.set()
    assert engine.wait().batches == 50
    assert engine.why(3).sentence == "has landed"
    assert engine.why(99).sentence == "never comes: the source has ended"
    assert engine.idle_reason() == ""


def test_the_workers_of_a_stage() -> None:
    """Who holds them; and what becomes of batches behind one that failed."""
    gate = threading.Event()

    def work(batch: list[int]) -> list[int]:
        gate.wait(10)
        if batch[0] == 1:
            raise ValueError("broken")
        return batch

    engine = ChainEngine(Chain("c", [Stage("work", work, 2)], size=1), range(9))
    engine.start()
    wait_until(
        lambda: engine.why(2).state == "waiting" and engine.why(1).state == "running", "both"
    )
    why = engine.why(2)
    assert why.resource == "workers of work"
    assert [holder for holder, _, _ in why.holders] == ["work[0]", "work[1]"]
    assert why.sentence == (
        "waits before 'work' for one of its 2 workers, which hold batch 0, batch 1"
    )
    gate.set()
    try:
        engine.wait()
    except Exception as error:
        assert "batch 1 failed" in str(error)  # noqa: PT017 (the state after it is the point)
    assert engine.why(1).sentence == "failed in 'work': ValueError: broken"
    assert engine.why(3).sentence == "never lands: batch 1 failed"
