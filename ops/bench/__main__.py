"""`python -m ops.bench`: measure everything, print it beside its targets, keep it as JSON.

Ends with 1 when something could not be measured. A missed target is printed loudly and ends
with 0: on a shared machine it is a reason to look, not a failure.
"""

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.bench import dead_store, route, shell, steps, tick, writers
from ops.bench.figures import Target
from ops.bench.servers import LEDGERS, Servers, servers, worker

REPORT = Path("reports/bench.json")
TARGETS = (
    Target("route_ns", 1000, "ns", "routing decision, CPU"),
    Target("route_ratio_to_fastest_sdk", 5, "x", "faster than the fastest flag SDK", at_least=True),
    Target("added_ms_sqlite", 1.0, "ms", "added to a no-op job end to end, SQLite"),
    Target("added_ms_postgresql", 2.0, "ms", "added to a no-op job end to end, PostgreSQL"),
    Target("ratio_20ms", 1.10, "x", "jobs of 20 ms end to end, worst ledger and path"),
    Target("bulk_ratio", 5, "x", "filing in bulk, the worse ledger", at_least=True),
    Target("dead_store_gate_ms_max", 200, "ms", "longest gate under a dead control store"),
    *tick.TARGETS,
    *shell.TARGETS,
)
PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "growthbook", "openfeature-sdk")


def main() -> int:
    """Run all parts; a part that fails leaves the others' figures standing."""
    # In a log there is no width to keep to, and the tables have many columns.
    console = Console(width=None if sys.stdout.isatty() else 140)
    started = time.monotonic()
    report: dict[str, Any] = {"machine": _machine()}
    failures: list[str] = []

    def part(name: str, measure: Callable[[], Any]) -> None:
        console.print(f"measuring {name} ...")
        try:
            report[name] = measure()
        except Exception:
            failures.append(name)
            console.print(f"[bold red]{name} could not be measured[/]")
            traceback.print_exc()

    part("route", route.measure)
    with servers() as found:
        part("steps_us", lambda: steps.measure(found))
        part("sqlite_writers_us", lambda: writers.measure(found.folder))
        part("shell", lambda: shell.measure(found.folder))
        part("dead_store_gate_ms", lambda: dead_store.measure(found.folder))
        part("through_celery", lambda: _in_worker(found))
    part("tick", tick.measure)
    report |= report.pop("through_celery", {})
    report["seconds"] = round(time.monotonic() - started)
    report = {**_headline(report), **report}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    _print(console, report)
    console.print(f"all figures: {REPORT} ({report['seconds']} s)")
    if failures:
        console.print(f"[bold red]NOT MEASURED: {', '.join(failures)}[/]")
    return 1 if failures else 0


def _in_worker(found: Servers) -> dict[str, Any]:
    """Measure what needs the app in jobs.py, which reads its variables when it is imported."""
    stamps = found.folder / "stamps"
    stamps.touch()
    variables = {"BENCH_REDIS": found.redis_url, "BENCH_STAMPS": str(stamps)}
    variables |= {f"BENCH_{ledger.upper()}": found.ledger_urls[ledger] for ledger in LEDGERS}
    os.environ.update(variables)
    from ops.bench import end_to_end, publish

    with worker(found, variables) as node:
        worked = end_to_end.measure(found, node)
    # Last, because it leaves its jobs in the queues.
    return {"end_to_end": worked, "publishing_us": publish.measure()}


def _headline(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that have a name of their own, from the parts that were measured."""
    head: dict[str, Any] = dict(report.get("route", {}))
    if "end_to_end" in report:
        noop, slow = report["end_to_end"]["noop"], report["end_to_end"]["sleep_20ms"]
        for ledger in LEDGERS:
            paths = [one for name, one in noop.items() if name.startswith(ledger)]
            head[f"added_ms_{ledger}"] = max(one["added_ms"] for one in paths)
        worst = max(slow, key=lambda name: slow[name]["ratio"])
        head |= {"ratio_20ms": slow[worst]["ratio"], "ratio_20ms_of": worst}
    if "steps_us" in report:
        head["bulk_ratio"] = min(one["bulk_ratio"] for one in report["steps_us"].values())
    if "dead_store_gate_ms" in report:
        head["dead_store_gate_ms_max"] = max(report["dead_store_gate_ms"].values())
    for part, targets in (("tick", tick.TARGETS), ("shell", shell.TARGETS)):
        measured = report.get(part, {})
        head |= {one.key: measured[one.key] for one in targets if one.key in measured}
    return head


def _print(console: Console, report: dict[str, Any]) -> None:
    table = Table("figure", "", "value", "target", "ok", title="rollout bench")
    missed = []
    for target in TARGETS:
        value = report.get(target.key)
        sign = ">=" if target.at_least else "<="
        ok = value is not None and target.is_met(value)
        if not ok:
            missed.append(target.key)
        table.add_row(
            target.key,
            target.says,
            "not measured" if value is None else f"{value:,} {target.unit}",
            f"{sign} {target.limit:,g} {target.unit}",
            "[green]yes[/]" if ok else "[bold red]NO[/]",
        )
    console.print(table)
    for title, key in (
        ("one step by a direct call, us", "steps_us"),
        ("claim + commit on one SQLite file, us", "sqlite_writers_us"),
        ("no-op end to end (prefork -c 2, Valkey, results ignored)", "noop"),
        ("20 ms jobs end to end", "sleep_20ms"),
    ):
        rows = report.get(key) or report.get("end_to_end", {}).get(key)
        if rows:
            console.print(_context(title, rows))
    if "tick" in report:
        tick.show(console, report["tick"])
    for key in ("route", "publishing_us", "dead_store_gate_ms", "shell"):
        if key in report:
            console.print(f"[bold]{key}[/]", report[key])
    load, cores = report["machine"]["load"], report["machine"]["cores"]
    if max(load) > cores / 2:
        console.print(
            f"[bold red]OTHERS USE THIS MACHINE (load {load} before we began, {cores} cores): wall "
            "times hold their waiting, too; trust ratios, and measure again when it is quiet[/]"
        )
    if missed:
        console.print(f"[bold red]MISSED TARGETS: {', '.join(missed)}[/]")


def _context(title: str, rows: dict[str, dict[str, float]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table("", *columns, title=title)
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:,}" if column in row else "" for column in columns))
    return table


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
