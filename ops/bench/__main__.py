"""`python -m ops.bench [PART ...]`: measure, print each figure when it is there, keep it as JSON.

The report is written after each part, so that what was measured stays when the rest is stopped;
parts that are not asked for keep what an earlier run wrote. Ends with 1 when a part could not be
measured. A missed aim is printed and ends with 0: on a shared machine it is a reason to look.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.bench import (
    aims,
    celery_parts,
    dead_store,
    ledger_bytes,
    open_jobs,
    route,
    shell,
    steps,
    tick,
    web,
    writers,
)
from ops.bench.servers import Servers, servers

REPORT = Path("reports/bench.json")
PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "growthbook", "openfeature-sdk")
TICK_JOBS, TICK_HISTORY, TICK_ROUNDS = 50_000, (10_000, 300_000), 4
"""Shorter than `python -m ops.bench.tick` by itself: all parts but `web` take eight minutes."""

Parts = dict[str, Callable[[], Any]]


def main() -> int:
    """Run the parts that are asked for; one that fails leaves the others' figures standing."""
    with _parts() as parts:
        asked = _asked(parts)
        # In a log there is no width to keep to, and the tables have many columns.
        console = Console(width=None if sys.stdout.isatty() else 140)
        report: dict[str, Any] = {**_before(), "machine": _machine()}
        seconds: dict[str, int] = report.setdefault("part_seconds", {})
        failures = []
        for name in asked:
            console.print(f"measuring {name} ...")
            began = time.monotonic()
            try:
                report[name] = parts[name]()
            except Exception:
                failures.append(name)
                console.print(f"[bold red]{name} could not be measured[/]")
                traceback.print_exc()
                continue
            seconds[name] = round(time.monotonic() - began)
            _keep(report)
            _show(console, name, report[name])
    _show_aims(console, report)
    console.print(
        f"all figures: {REPORT} ({sum(seconds[name] for name in asked if name in seconds)} s)"
    )
    if failures:
        console.print(f"[bold red]NOT MEASURED: {', '.join(failures)}[/]")
    return 1 if failures else 0


@contextmanager
def _parts() -> Iterator[Parts]:
    """All parts; servers are started by the first that needs them."""
    opened: list[Any] = []

    def found() -> Servers:
        if not opened:
            context = servers()
            opened.extend((context, context.__enter__()))
        servers_found: Servers = opened[1]
        return servers_found

    def celery(name: str) -> Callable[[], Any]:
        return lambda: celery_parts.parts(found())[name]()

    try:
        yield {
            "route": route.measure,
            "steps_us": lambda: steps.measure(found()),
            "ledger_bytes": lambda: ledger_bytes.measure(found()),
            "sqlite_writers_us": lambda: writers.measure(found().folder),
            **{name: celery(name) for name in celery_parts.NAMES},
            "open_jobs": open_jobs.measure,
            "dead_store_gate_ms": lambda: dead_store.measure(found().folder),
            "shell": lambda: shell.measure(found().folder),
            "tick": lambda: tick.measure(TICK_JOBS, history=TICK_HISTORY, rounds=TICK_ROUNDS),
            "web": web.measure,
        }
    finally:
        if opened:
            opened[0].__exit__(None, None, None)


def _asked(parts: Parts) -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    given = parser.parse_args().parts
    asked = [name for name in parts if not given or any(name.startswith(one) for one in given)]
    if not asked:
        parser.error(f"no part begins with any of {given}; there are {', '.join(parts)}")
    return asked


def _before() -> dict[str, Any]:
    return dict(json.loads(REPORT.read_text())) if REPORT.exists() else {}


def _keep(report: dict[str, Any]) -> None:
    report["aims"] = aims.rows(report)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


def _show(console: Console, name: str, figures: Any) -> None:
    if name == "tick":
        tick.show(console, figures)
    elif figures and all(isinstance(row, dict) for row in figures.values()):
        columns = list(dict.fromkeys(column for row in figures.values() for column in row))
        table = Table("", *columns, title=name)
        for case, row in figures.items():
            table.add_row(case, *(f"{row[one]:,}" if one in row else "" for one in columns))
        console.print(table)
    else:
        console.print(f"[bold]{name}[/]", figures)


def _show_aims(console: Console, report: dict[str, Any]) -> None:
    table = Table("figure", "", "value", "aim", "met", title="rollout bench")
    missed = []
    for row in report.get("aims", ()):
        sign = ">=" if row["at_least"] else "<="
        if not row["met"]:
            missed.append(row["name"] + (f" ({row['reason']})" if "reason" in row else ""))
        table.add_row(
            row["name"],
            row["says"],
            f"{row['value']:,} {row['unit']}",
            f"{sign} {row['aim']:,g} {row['unit']}",
            "[green]yes[/]" if row["met"] else "[bold red]NO[/]",
        )
    console.print(table)
    load, cores = report["machine"]["load"], report["machine"]["cores"]
    if max(load) > cores / 2:
        console.print(
            f"[bold red]OTHERS USE THIS MACHINE (load {load} before we began, {cores} cores): wall "
            "times hold their waiting, too; trust ratios, and measure again when it is quiet[/]"
        )
    if missed:
        console.print(f"[bold red]MISSED AIMS: {', '.join(missed)}[/]")


def _machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "packages": {name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
