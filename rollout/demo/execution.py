"""`python -m rollout.demo.execution`: one load in sequence, with barriers, in micro-batches, and as
a graph; times, bounds, flame graphs, and a table that says which one this pipeline should pick.
"""

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rollout.demo.comparison import Comparison, compare
from rollout.demo.execution_shapes import DEMO_RECORDS, SHAPES, Outcome, measure
from rollout.demo.execution_work import BATCH, INGEST_WORKERS, LOAD_WORKERS, TRANSFORM_WORKERS
from rollout.demo.screen import screen
from rollout.demo.source import SourceMissing
from rollout.execution import Graph, GraphEngine, Mapped

FOLDER = Path(".rollout/execution")
NEAR = 1.10
"""Shapes within a tenth of the fastest are equals; then the records in memory decide."""
REFERENCE = "sequential"
"""What the others are compared with, in time and row for row."""
LEGEND = """\
bound: what no run of the times that this one measured can beat with these workers
at most: the speed-up of a run at its bound; times the bound: how near this run came
(other programs on the machine stretch seconds; compare the shapes)"""


def run(folder: Path = FOLDER, records: int = DEMO_RECORDS, console: Console | None = None) -> int:
    """Load the flights four ways and compare; under a minute.

    Args:
        folder: Made anew; gets the warehouses and the traces.
        records: How many flights, at most 336,776.

    Returns:
        Exit code: 0 when all four warehouses are equal row for row, and the sums are as promised.
    """
    console = console or screen()

    def each(name: str, outcome: Outcome) -> None:
        console.print(f"{name:<14} {outcome.seconds:.1f} s", highlight=False)

    console.print(
        f"{records:,} flights in batches of {BATCH} go through three stages, ingest, transform and "
        f"load, with {INGEST_WORKERS}, {TRANSFORM_WORKERS} and {LOAD_WORKERS} workers: one after "
        "the other first, then in three ways that overlap. The work is real; the waits stand for "
        "a source and a warehouse.",
        highlight=False,
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        outcomes = measure(records, folder=folder, each=each)
    except SourceMissing as error:
        console.print(f"error: {error}", style="bold red", highlight=False, soft_wrap=True)
        return 1
    differ = {
        name: compared
        for name in SHAPES
        if name != REFERENCE
        and not ((compared := _compared(folder, name)).matches and compared.rows_found == records)
    }
    console.print(times(outcomes, records))
    console.print(LEGEND, highlight=False)
    console.print(advice(outcomes))
    console.print("flame graphs for speedscope.app, traces for ui.perfetto.dev:", highlight=False)
    for name, outcome in outcomes.items():
        for file in outcome.traces:
            console.print(f"{name:<14} {file}", highlight=False)
    ordered, loose = sums_by_workers()
    console.print(
        f"a sum in floating point over 1, 2 and 7 workers: {len(ordered)} value with "
        f"deterministic=True, {len(loose)} in the order in which steps end",
        highlight=False,
    )
    for name, compared in differ.items():
        console.print(f"wrong          {name}: {compared}", style="bold red", highlight=False)
    right = not differ and len(ordered) == 1
    console.print("rows equal     yes, row for row" if not differ else "rows equal     NO")
    console.print("ok" if right else "FAILED", style="bold", highlight=False)
    return 0 if right else 1


def _compared(folder: Path, name: str) -> Comparison:
    return compare(f"sqlite:///{folder}/{name}.db", f"sqlite:///{folder}/{REFERENCE}.db")


def times(outcomes: Mapping[str, Outcome], records: int) -> Table:
    """How long each took, beside what it could at best."""
    base = outcomes[REFERENCE].seconds
    table = Table(title=f"{records:,} flights: ingest, transform, load", title_justify="left")
    for column in ("shape", "seconds", "speed-up", "at most", "bound", "times the bound"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for name, one in outcomes.items():
        table.add_row(
            name,
            f"{one.seconds:.2f}",
            f"{base / one.seconds:.2f} x",
            f"{one.speedup_bound:.2f} x",
            f"{one.bound_s:.2f} s",
            f"{one.seconds / one.bound_s:.3f}",
        )
    return table


def pick(outcomes: Mapping[str, Outcome]) -> str:
    """The shape for this pipeline: among the fastest, the one that holds the fewest records."""
    best = min(one.seconds for one in outcomes.values())
    near = {name: one for name, one in outcomes.items() if one.seconds <= best * NEAR}
    return min(near, key=lambda name: (near[name].held, near[name].seconds))


def advice(outcomes: Mapping[str, Outcome]) -> Table:
    """Which one to pick, and why not the others."""
    picked = pick(outcomes)
    best = min(one.seconds for one in outcomes.values())
    table = Table(title="which one to pick", title_justify="left")
    for column in ("shape", "records in memory", "order kept", "a crash goes on from", "verdict"):
        table.add_column(column, overflow="fold")
    for name, one in outcomes.items():
        if name == picked:
            verdict = _why_picked(outcomes)
        elif one.seconds > best * NEAR:
            verdict = f"takes {one.seconds / best:.1f} times as long as the fastest"
        else:
            verdict = f"as fast (within {NEAR - 1:.0%}), and holds more in memory"
        in_order = "yes" if one.in_order else "no"
        table.add_row(name, f"{one.held:,}", in_order, one.goes_on, verdict)
    return table


def _why_picked(outcomes: Mapping[str, Outcome]) -> str:
    best = min(one.seconds for one in outcomes.values())
    near = sum(one.seconds <= best * NEAR for one in outcomes.values())
    if near == 1:
        return "pick this one: no other comes within a tenth of it"
    return f"pick this one: of the {near} fastest it holds the fewest records"


def sums_by_workers() -> tuple[set[float], set[float]]:
    """Sums of results over 1, 2 and 7 workers: in declared order, and in that of their ends."""
    graph = Graph("sum", [Mapped("part", _part, range(200))])
    ordered, loose = set(), set()
    for workers in (1, 2, 7):
        results = GraphEngine(graph, workers=workers, deterministic=True).run().results
        ordered.add(sum(results.values()))
        loose.add(sum(GraphEngine(graph, workers=workers).run().results.values()))
    return ordered, loose


def _part(number: int) -> float:
    """Part of a sum whose value depends on the order of adding; some take longer than others."""
    time.sleep(number * 7919 % 5 / 4_000)
    return float((-1) ** number * 10.0 ** (number * 37 % 17) / 3)


if __name__ == "__main__":
    sys.exit(run())
