"""The live view in the terminal."""

import io
import signal
import threading
import time
from typing import Any

import pytest
from rich.console import Console

from rollout.execution import Chain, ChainEngine, Graph, GraphEngine, Mapped, Stage, Step
from rollout.execution.live import ROWS_MAX, table, view, watch
from tests.waiting import wait_until


def text(drawn: Any) -> str:
    """What a terminal shows."""
    console = Console(file=io.StringIO(), width=120)
    console.print(drawn)
    shown = console.file
    assert isinstance(shown, io.StringIO)
    return shown.getvalue()


def test_a_graph_while_it_runs() -> None:
    """A bar per step and per mapped step, what runs, and why slots are idle."""
    gate = threading.Event()
    steps: list[Step | Mapped] = [
        Step("wait", lambda: gate.wait(10)),
        Mapped("load", lambda _, item: item, [1, 2], ["wait"]),
    ]
    engine = GraphEngine(Graph("g", steps))
    engine.start()
    wait_until(lambda: engine.why("wait").state == "running", "it runs")
    shown = text(view(engine))
    assert "0/1" in shown
    assert "0/2" in shown
    assert "running  wait 0." in shown
    assert (
        "slots    2 of 3 slots are idle: all 2 steps that have not started wait for wait" in shown
    )
    assert "waits for wait (running)" in text(table([engine.why("load[0]")]))
    gate.set()
    engine.wait()
    assert "2/2" in text(view(engine))
    assert "nothing is left" in text(view(engine))


def test_many_steps_are_one_row() -> None:
    """A terminal has so many lines."""
    engine = GraphEngine(Graph("g", [Step(f"s{n}", print) for n in range(ROWS_MAX + 5)]))
    assert "5 more" in text(view(engine))


def test_watching_a_run_to_its_end() -> None:
    """It gives the report; a chain shows its stages and what has landed."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    engine = ChainEngine(Chain("c", [Stage("slow", slow)], size=1), range(5))
    assert watch(engine, console).to_json()["batches"] == 5
    shown = console.file
    assert isinstance(shown, io.StringIO)
    assert "5 batches, 5 records" in shown.getvalue()


def slow(batch: list[int]) -> list[int]:
    """A stage that takes a moment."""
    time.sleep(0.01)
    return batch


def test_ctrl_c_while_watching() -> None:
    """It ends the run, and leaves no thread."""
    main = threading.main_thread().ident
    assert main is not None

    def work(item: int) -> None:
        if item == 3:
            signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.01)

    engine = GraphEngine(Graph("g", [Mapped("m", work, range(100))]), workers=2)
    with pytest.raises(KeyboardInterrupt):
        watch(engine, Console(file=io.StringIO()))
    assert "cancelled" in engine.report().states.values()
