"""`python -m ops.evidence [--quick] [--only ID ...] [--jobs N]`: measure the whole table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

from ops.evidence import (
    budgets,
    censoring,
    cohorts,
    cost,
    delays,
    false_alarms,
    holds,
    peers,
    rehearsals,
    shadows,
    small,
)
from ops.evidence.row import HEADING, Row, write


def full() -> dict[str, Callable[[], list[Row]]]:
    """Name every group of rows, in the order of the table."""
    return {
        "F1 F2": lambda: false_alarms.error_rows(1000),
        "F3 F4 F5": lambda: false_alarms.outage_rows(1000),
        "F6": lambda: false_alarms.cycle_rows(1000),
        "D1": lambda: [delays.total_row("D1", False, 2000)],
        "D2": lambda: [delays.total_row("D2", True, 200)],
        "D3 D4 D5": lambda: delays.partial_rows(200),
        "D6 D7": lambda: delays.cycle_rows(200),
        "F7": lambda: [small.false_row(400)],
        "D8": lambda: [small.partial_row(400)],
        "D9": lambda: [small.long_row(10)],
        "D10": lambda: [small.found_row(400)],
        "C1": lambda: [censoring.row(1000)],
        "K1": lambda: [cost.row(1_000_000)],
        "S1 S2 S3": shadows.rows,
        "M1": lambda: [budgets.vectors_row()],
        "M2": lambda: [budgets.limit_row()],
        "M3": lambda: [budgets.margin_row(4000)],
        "M4": lambda: [budgets.days_row("M4", 500, shadow=False)],
        "M5": lambda: [budgets.days_row("M5", 500, shadow=True)],
        "M6": lambda: [budgets.sizes_row(1000)],
        "M7": lambda: [budgets.healthy_row(500)],
        "M8 M9 M10 M11 M12 M13": lambda: budgets.harmed_rows(500),
        "M14": lambda: [budgets.bursts_row(1000)],
        "M15": lambda: [budgets.drills_row(5000)],
        "M16": lambda: [holds.row()],
        "R1": lambda: [rehearsals.thousand_row(20)],
        "R2": lambda: [rehearsals.sizes_row(4)],
        "R3": lambda: [cohorts.cohort_row(1)],
    }


def quick() -> dict[str, Callable[[], list[Row]]]:
    """Name the rows that take seconds."""
    return {
        "D1": lambda: [delays.total_row("D1", False, 500)],
        "C1": lambda: [censoring.row(200)],
        "K1": lambda: [cost.row(20_000)],
        "S1": lambda: [shadows.time_row(300)],
        "M1": lambda: [budgets.vectors_row()],
        "M2": lambda: [budgets.limit_row()],
        "M6": lambda: [budgets.sizes_row(100)],
        "M15": lambda: [budgets.drills_row(500)],
        "M16": lambda: [holds.row()],
    }


def timed(ids: str, small: bool) -> list[Row]:
    """Measure one group, in this process or in a worker."""
    begin = perf_counter()
    measured = (quick() if small else full())[ids]()
    seconds = (perf_counter() - begin) / len(measured)
    return [replace(row, seconds=seconds) for row in measured]


def measure(chosen: argparse.Namespace) -> list[Row]:
    """Run the groups that hold a wanted id, all without `--only`, and print each when ready."""
    groups = [
        ids
        for ids in (quick() if chosen.quick else full())
        if not chosen.only or set(chosen.only) & set(ids.split())
    ]
    one = partial(timed, small=chosen.quick)
    print(HEADING)
    rows = []
    with ProcessPoolExecutor(chosen.jobs) if chosen.jobs > 1 else nullcontext() as pool:
        for measured in map(one, groups) if pool is None else pool.map(one, groups):
            rows += measured
            print("\n".join(row.render() for row in measured), flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the report; 1 when a row is not accepted."""
    parser = argparse.ArgumentParser(prog="python -m ops.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small part, in seconds")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        help="ids of rows, such as F1 D3; the report keeps the others",
    )
    parser.add_argument("--peers", type=int, default=200, help="pilots per peer; 0 for none")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one per core")
    parser.add_argument("--out", type=Path, default=Path("reports/evidence.json"))
    chosen = parser.parse_args(arguments)
    rows = measure(chosen)
    compared: list[dict[str, object]] = []
    if not chosen.quick and not chosen.only and chosen.peers:
        compared = peers.compare(chosen.peers)
        print("\n" + peers.render(compared))
    every = " ".join(full()).split()
    write(rows, compared, chosen.out, every if chosen.only else None)
    print(f"\n{sum(row.ok for row in rows)} of {len(rows)} rows accepted; wrote {chosen.out}")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
