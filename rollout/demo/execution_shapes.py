"""The same load four ways: in sequence, with barriers, in micro-batches, and as a graph."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rollout.demo import execution_work as work
from rollout.demo.execution_work import Work
from rollout.execution import (
    Barrier,
    Chain,
    ChainEngine,
    Graph,
    GraphEngine,
    Landing,
    SqliteReceipts,
    Stage,
    Step,
)

ARTICLE_RECORDS = 200_000
DEMO_RECORDS = 30_000
DEMO_SCALE = 1 / 60
WORKERS = work.INGEST_WORKERS + work.TRANSFORM_WORKERS + work.LOAD_WORKERS + 1
RESOURCES = {
    "source": work.INGEST_WORKERS,
    "joins": work.TRANSFORM_WORKERS,
    "warehouse": work.LOAD_WORKERS,
    "commit": 1,
}


@dataclass(frozen=True)
class Outcome:
    """One way of loading.

    Attributes:
        seconds: How long it took.
        bound_s: What no run of these measured times with these workers can beat.
        speedup_bound: Its work over that.
        held: Most records in memory at once, by construction.
        in_order: Whether rows are committed in the order of the source.
        goes_on: What a second run after a crash begins with.
        digest: Of all rows.
        traces: Chrome trace and flame graph.
    """

    seconds: float
    bound_s: float
    speedup_bound: float
    held: int
    in_order: bool
    goes_on: str
    digest: str = ""
    traces: list[Path] = field(default_factory=list)


def in_sequence(does: Work, file: Path, records: int, traces: Path) -> Outcome:
    """One batch after the other, as the legacy path does."""
    began = time.perf_counter()
    source = work.lines(records)
    with closing(sqlite3.connect(file)) as connection:
        while batch := list(islice(source, work.BATCH)):
            rows = does.load(does.join(does.ingest(batch)))
            with connection:
                work.insert(connection, rows)
    seconds = time.perf_counter() - began
    return Outcome(seconds, seconds, 1.0, work.BATCH, True, "the beginning")


def in_micro_batches(does: Work, file: Path, records: int, traces: Path) -> Outcome:
    """Stages that overlap; rows and receipt of a batch in one transaction."""
    chain = Chain(
        "micro-batches",
        [
            Stage("ingest", does.ingest, work.INGEST_WORKERS),
            Stage("transform", does.join, work.TRANSFORM_WORKERS),
            Stage("load", does.load, work.LOAD_WORKERS),
        ],
        size=work.BATCH,
    )

    def sink(rows: list[work.Row], landing: Landing) -> None:
        assert landing.connection is not None, "SqliteReceipts lends its transaction"
        work.insert(landing.connection, rows)

    engine = ChainEngine(
        chain, work.lines(records), sink=sink, receipts=SqliteReceipts(file), deterministic=True
    )
    report = engine.run()
    held = sum(chain.workers) + chain.buffer * (len(chain.workers) - 1)
    return Outcome(
        report.seconds,
        report.bound_s,
        report.speedup_bound,
        held * work.BATCH,
        True,
        "the batch behind the last one that landed",
        traces=report.save_trace(traces),
    )


def with_barriers(does: Work, file: Path, records: int, traces: Path) -> Outcome:
    """All batches through one stage before the first enters the next."""
    return _graph("barriers", does, file, records, traces)


def as_graph(does: Work, file: Path, records: int, traces: Path) -> Outcome:
    """Each batch on its own way, as soon as what it needs is there."""
    return _graph("graph", does, file, records, traces)


def _graph(name: str, does: Work, file: Path, records: int, traces: Path) -> Outcome:
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        graph = Graph(
            name, _steps(does, connection, records, name == "barriers"), resources=RESOURCES
        )
        report = GraphEngine(graph, workers=WORKERS, deterministic=True).run()
    bound_s = report.bounds.bound_s
    return Outcome(
        report.seconds,
        bound_s,
        report.bounds.work_s / bound_s,
        records,
        False,
        "the steps without a receipt (when results are kept as files)",
        traces=report.save_trace(traces),
    )


def _steps(
    does: Work, connection: sqlite3.Connection, records: int, gated: bool
) -> list[Step | Barrier]:
    """Read everything, then four steps a batch; with gates between the stages or without."""

    def read() -> list[list[work.Line]]:
        source = work.lines(records)
        return list(iter(lambda: list(islice(source, work.BATCH)), []))

    def pick(batches: list[list[work.Line]], number: int) -> Any:
        return does.ingest(batches[number])

    def commit(rows: list[work.Row]) -> int:
        with connection:
            work.insert(connection, rows)
        return len(rows)

    steps: list[Step | Barrier] = [Step("read", read)]
    stages: tuple[tuple[str, str, str, Callable[..., Any]], ...] = (
        ("ingest", "read", "source", pick),
        ("transform", "ingest", "joins", does.join),
        ("load", "transform", "warehouse", does.load),
        ("commit", "load", "commit", commit),
    )
    gate: Sequence[str] = ()
    count = -(-records // work.BATCH)
    for stage, before, resource, function in stages:
        names = [f"{stage}[{number}]" for number in range(count)]
        for number, name in enumerate(names):
            first = stage == "ingest"
            steps.append(
                Step(
                    name,
                    function,
                    ["read"] if first else [f"{before}[{number}]"],
                    (number,) if first else (),
                    after=gate,
                    resources={resource: 1},
                )
            )
        if gated:
            steps.append(Barrier(f"all through {stage}", _complete(count), after=names))
            gate = [f"all through {stage}"]
    return steps


def _complete(count: int) -> Callable[[dict[str, Any]], bool]:
    """The check of a gate: no batch is missing."""
    return lambda before: len(before) == count


SHAPES: dict[str, Callable[[Work, Path, int, Path], Outcome]] = {
    "sequential": in_sequence,
    "barriers": with_barriers,
    "micro-batches": in_micro_batches,
    "graph": as_graph,
}


def measure(
    records: int,
    shapes: Sequence[str] = tuple(SHAPES),
    folder: Path | None = None,
    scale: float = DEMO_SCALE,
    each: Callable[[str, Outcome], None] = lambda name, outcome: None,
) -> dict[str, Outcome]:
    """Load so many flights in each way, into a warehouse each.

    Args:
        folder: Gets the warehouses `<shape>.db` and the traces; None is a temporary one.
        scale: Of the article's time.
        each: Hears of a shape as soon as it is through.

    Raises:
        SourceMissing: The data package is not installed.
    """
    if folder is None:
        with TemporaryDirectory(prefix="rollout-execution-") as temporary:
            return measure(records, shapes, Path(temporary), scale, each)
    work.reference()  # read once, before the clock starts
    outcomes = {}
    for name in shapes:
        file = folder / f"{name}.db"
        work.empty_warehouse(file)
        outcome = SHAPES[name](Work(scale), file, records, folder / "traces")
        outcomes[name] = Outcome(**{**vars(outcome), "digest": work.digest(file)})
        each(name, outcomes[name])
    return outcomes
