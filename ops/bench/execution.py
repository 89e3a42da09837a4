"""`python -m ops.bench.execution` (`make bench-execution`): the engine beside its peers.

Every figure is the median of rounds in which ours and the peers take turns, and ratios are those of
medians, so that a busy machine slows both. The measured workflows are read from a folder: the
argument, EXECUTION_DAGS, or ../shared/execution; without one, generated graphs stand in and the
report says so. Writes reports/execution.json.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from ops.bench import execution_batches as batches
from ops.bench import execution_graphs as graphs
from ops.bench.execution_graphs import PEERS, Runner, Workload

REPORT = Path("reports/execution.json")
DAGS = Path("../shared/execution")
IRREGULAR = "atacseq-001"
NOOP_WORKERS, WORKERS = 8, 16
BOUND_S, EACH_BOUND_S = 2.0, 1.0
ROUNDS = 5
PAUSE_S = 0.03
ARTICLE = 45 / 11


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        aim: What it should reach: at most, or with `at_least` at least.
        best: What no engine can beat, when there is such a value.
        peers: The same figure of each peer, measured in the same rounds.
    """

    name: str
    value: float
    unit: str
    aim: float | None
    at_least: bool = False
    best: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim

    def to_json(self) -> dict[str, object]:
        """With what follows from it."""
        ratios = {name: round(self.value / one, 4) for name, one in self.peers.items() if one}
        return {**asdict(self), "met": self.met, "ratios": ratios}


def in_turns(
    runners: Mapping[str, Runner], work: Workload, workers: int, rounds: int
) -> dict[str, float]:
    """Median seconds of each runner, taking turns; a first round is not counted.

    A busy machine makes those wait that used its processors a moment ago, so each begins after a
    pause: no runner pays for the one before it.
    """
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 1):
        for name, run in runners.items():
            time.sleep(PAUSE_S)
            seconds = run(work, workers)
            if turn or rounds == 1:
                taken[name].append(seconds)
    return {name: median(values) for name, values in taken.items()}


def noop_row() -> list[Row]:
    """What the engine itself costs: time that passes, and time of the processor."""
    work = graphs.noop()
    runners = {"ours": graphs.ours, **PEERS}
    note = "1,000 steps, 8 workers; making the run and its report included"
    rows = []
    for name, told, measured in (
        ("noop_us_per_step", note, runners),
        (
            "noop_cpu_us_per_step",
            f"{note}; what it costs when others use the machine, too",
            {name: graphs.on_the_processor(run) for name, run in runners.items()},
        ),
    ):
        found = in_turns(measured, work, NOOP_WORKERS, 4 * ROUNDS)
        us = {one: round(seconds * 1e6 / len(work.after), 2) for one, seconds in found.items()}
        best = us["sequential"]
        rows.append(Row(name, us.pop("ours"), "us", 15.0, best=best, peers=us, note=told))
    return rows


def irregular_row(workloads: list[Workload]) -> list[Row]:
    """One real workflow, scaled to a bound of two seconds."""
    chosen = next((one for one in workloads if one.name == IRREGULAR), workloads[0])
    work = chosen.scaled(BOUND_S, WORKERS)
    runners = {"ours": graphs.ours, "ours without memory": graphs.unordered} | {
        name: run for name, run in PEERS.items() if name != "sequential"
    }
    found = in_turns(runners, work, WORKERS, 3)
    share = {name: round(seconds / BOUND_S, 4) for name, seconds in found.items()}
    return [
        Row(
            "irregular_makespan_over_bound",
            share.pop("ours"),
            "",
            1.03,
            best=1.0,
            peers=share,
            note=f"{work.name} ({work.source}), {len(work.after)} steps, 16 workers",
        )
    ]


def dags_rows(workloads: list[Workload]) -> list[Row]:
    """All of them: median and worst."""
    runners = {
        "ours": graphs.ours,
        "graphlib with threads": graphs.graphlib_threads,
        "barriers by level": graphs.barriers,
    }
    shares: dict[str, list[float]] = {name: [] for name in runners}
    worst = ("", 0.0)
    for work in workloads:
        found = in_turns(runners, work.scaled(EACH_BOUND_S, WORKERS), WORKERS, 1)
        for name, seconds in found.items():
            shares[name].append(seconds / EACH_BOUND_S)
        worst = max(worst, (work.name, found["ours"]), key=lambda one: one[1])
    note = f"{len(workloads)} graphs, 16 workers, each with a bound of {EACH_BOUND_S:g} s"
    rows = []
    for name, reduce, aim in (("median", median, 1.05), ("worst", max, 1.15)):
        values = {runner: round(reduce(found), 4) for runner, found in shares.items()}
        told = note if name == "median" else f"{note}; the worst is {worst[0]}"
        rows.append(
            Row(
                f"dags_{name}_makespan_over_bound",
                values.pop("ours"),
                "",
                aim,
                best=1.0,
                peers=values,
                note=told,
            )
        )
    return rows


def batches_row() -> list[Row]:
    """Three stages with workers of their own."""
    base = batches.sequential()
    runners: dict[str, Callable[[], batches.Ran]] = {
        "ours": batches.ours,
        "threads by hand": batches.threads_by_hand,
    }
    taken: dict[str, list[float]] = {name: [] for name in runners}
    in_order = True
    for _ in range(3):
        for name, run in runners.items():
            ran = run()
            taken[name].append(ran.seconds)
            in_order &= ran.in_order
    speedups = {name: round(base.seconds / median(one), 3) for name, one in taken.items()}
    nominal = batches.RECORDS / batches.SIZE * sum(one for _, one, _ in batches.STAGES)
    return [
        Row(
            "batches_speedup",
            speedups.pop("ours"),
            "x",
            4.2,
            at_least=True,
            best=batches.bound(),
            peers=speedups,
            note=f"200,000 records in batches of 500, stages of 5/2.5/15 ms with 1/2/4 workers; "
            f"sequential {base.seconds:.2f} s (its sleeps alone {nominal:.2f} s)",
        ),
        Row("batches_in_order_nothing_lost", float(in_order), "", 1.0, at_least=True),
    ]


def memory_rows() -> list[Row]:
    """A million records through a slow sink, beside a third of them."""
    small, large = batches.peak_bytes(300_000), batches.peak_bytes(1_000_000)
    return [
        Row(
            "memory_peak_10e6_over_3x10e5_records",
            round(large / small, 3),
            "x",
            1.1,
            best=1.0,
            note=f"peak of 10^6 records of 100 bytes {large / 1e6:.2f} MB, of 3 x 10^5 "
            f"{small / 1e6:.2f} MB; both hold the trace of the newest 10,000 spans, full",
        )
    ]


def article_row() -> list[Row]:
    """The article's case on the demo's flights: 200,000 of them at a thirtieth of the time."""
    from rollout.demo.execution_shapes import ARTICLE_RECORDS, measure

    found = measure(ARTICLE_RECORDS, shapes=("sequential", "micro-batches"), scale=1 / 30)
    base, fast = found["sequential"], found["micro-batches"]
    return [
        Row(
            "article_speedup",
            round(base.seconds / fast.seconds, 3),
            "x",
            round(ARTICLE, 2),
            at_least=True,
            best=round(fast.speedup_bound, 3),
            note=f"{ARTICLE_RECORDS:,} flights: {base.seconds:.1f} s in sequence, "
            f"{fast.seconds:.1f} s in micro-batches; rows equal: {base.digest == fast.digest}",
        )
    ]


def order_rows() -> list[Row]:
    """`order="key"` with 100 keys and eight processes, beside the same jobs without an order."""
    from ops.bench import order

    rows = []
    for ledger, cost in order.costs().items():
        with_, without = cost.ordered, cost.loose
        rates = f"{with_.jobs_per_s:.0f} jobs/s with, {without.jobs_per_s:.0f} without"
        spent = f"{with_.cpu_us / 1e3:.2f} ms with, {without.cpu_us / 1e3:.2f} without"
        throughput, cpu = round(cost.throughput_ratio, 3), round(cost.cpu_ratio, 3)
        rows += [
            Row(
                f"order_by_key_{ledger}", throughput, "x", 0.8, at_least=True, best=1.0, note=rates
            ),
            Row(f"order_by_key_cpu_{ledger}", cpu, "x", None, best=1.0, note=spent),
        ]
    return rows


def main() -> int:
    """Measure, print, write. Exit code 0 when everything was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    given = os.environ.get("EXECUTION_DAGS") or (DAGS if DAGS.is_dir() else None)
    parser.add_argument("dags", nargs="?", default=given, help="folder of measured workflows")
    parser.add_argument("--only", help="only parts whose name begins so")
    arguments = parser.parse_args()
    files = sorted(Path(arguments.dags).glob("*.json")) if arguments.dags else []
    workloads = [graphs.read(file) for file in files] or graphs.generated()
    parts: dict[str, Callable[[], list[Row]]] = {
        "noop": noop_row,
        "irregular": lambda: irregular_row(workloads),
        "dags": lambda: dags_rows(workloads),
        "batches": batches_row,
        "memory": memory_rows,
        "article": article_row,
        "order": order_rows,
    }
    began, rows, told = time.monotonic(), [], []
    for name, part in parts.items():
        if name.startswith(arguments.only or ""):
            when = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "load": os.getloadavg()}
            made = part()
            rows += made
            told += [{**row.to_json(), **when} for row in made]
            print(f"{name} ({time.monotonic() - began:.0f} s)", file=sys.stderr)
    write(told, str(arguments.dags) if files else "generated")
    show(rows)
    return 0


def write(rows: list[dict[str, object]], dags: str) -> None:
    """Write the report; rows of parts that were not measured now stay as they were."""
    new = {row["name"] for row in rows}
    old = json.loads(REPORT.read_text())["rows"] if REPORT.exists() else []
    report = {
        "machine": {"python": platform.python_version(), "cores": os.cpu_count()},
        "packages": {name: version(name) for name in ("dask", "distributed")},
        "dags": dags,
        "rows": [*(row for row in old if row["name"] not in new), *rows],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


def show(rows: list[Row]) -> None:
    """Print for a person."""
    console = Console()
    table = Table("figure", "value", "aim", "met", "best", "peers", "note")
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        peers = "\n".join(f"{name} {value:g}" for name, value in row.peers.items())
        met = {None: "", True: "[green]yes[/]", False: "[bold red]NO[/]"}[row.met]
        aim = "" if row.aim is None else f"{sign} {row.aim:g}"
        best = "" if row.best is None else f"{row.best:g}"
        table.add_row(row.name, f"{row.value:g} {row.unit}", aim, met, best, peers, row.note)
    console.print(table)
    console.print(f"all figures, with the load of the machine at each: {REPORT}")


if __name__ == "__main__":
    sys.exit(main())
