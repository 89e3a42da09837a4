"""What page and API take over a long ledger, what viewers cost it, and how soon a kill holds.

    python -m ops.bench.web                        (both ledgers: five minutes at the most)
    python -m ops.bench.web --ledger sqlite --part pages --jobs 100000 --names 1000

Pages are asked one after another, as a person looks around, each time of another sub-pipeline: what
one look has read does not answer the next. Kills come from the page and by API, beside those of the
command line, while twenty others look. Beside milliseconds on the wall stand those of the
processors, ours and the database server's: where others use the machine, these tell what a quiet
one would take. Whatever is not measured when the time is over is left out, and `rounds` and `kills`
say how much was. Each figure is printed when it is known and kept in reports/web.json at once; what
another run measured of the other ledger stays there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ops.bench.figures import Target
from ops.bench.servers import LEDGERS
from ops.bench.web_kills import kills, viewers_cost
from ops.bench.web_pages import explained, pages
from ops.bench.web_plant import JOBS, NAMES, WebPlant, web_plant

REPORT = Path("reports/web.json")
SECONDS = 100.0
"""For each ledger, beside its making (half a minute on a quiet machine)."""
PAGES_UNTIL = 0.33
"""Of the time; viewers take what they take, and kills what is left."""
PARTS = ("pages", "viewers", "kills")
Keep = Callable[[dict[str, Any]], None]

TARGETS = tuple(
    target
    for ledger in LEDGERS
    for target in (
        Target(f"page_ms_median_{ledger}", 200, "ms", f"slowest page's median, {ledger}"),
        Target(f"page_busy_ms_{ledger}", 200, "ms", f"the same, of the processors, {ledger}"),
        Target(f"page_ms_p99_{ledger}", 1000, "ms", f"slowest page's p99, {ledger}"),
        Target(f"viewers_cost_{ledger}", 1.2, "x", f"statements of 20 viewers to one's, {ledger}"),
        Target(f"kill_over_cli_ms_{ledger}", 10, "ms", f"starts blocked, API over CLI, {ledger}"),
        Target(f"kill_page_ms_p99_{ledger}", 1000, "ms", f"kill answered, 20 look, {ledger}"),
    )
)


def measure(
    jobs: int = JOBS,
    names: int = NAMES,
    seconds: float = SECONDS,
    ledgers: Sequence[str] = LEDGERS,
    parts: Sequence[str] = PARTS,
    keep: Keep = lambda report: None,
) -> dict[str, Any]:
    """Measure every ledger; keys of `TARGETS`, and under the ledger's name all there is to know.

    Args:
        jobs: In the ledger.
        names: Sub-pipelines in it.
        seconds: For the measuring of each ledger, without its making.
        ledgers: Which ones.
        parts: What.
        keep: Given what is known after each part.
    """
    report: dict[str, Any] = {}
    for ledger in ledgers:
        began = time.monotonic()
        of: dict[str, Any] = {"jobs": jobs, "sub_pipelines": names}
        report[ledger] = of
        with web_plant(ledger, jobs, names, web_sign_in="token") as plant:
            of["made_s"] = round(time.monotonic() - began)
            began = time.monotonic()
            _tell(f"{ledger}: {jobs:,} jobs of {names} sub-pipelines made in {of['made_s']} s")
            for part in (one for one in PARTS if one in parts):
                report |= _part(plant, ledger, part, of, began, seconds)
                of["took_s"] = round(time.monotonic() - began)
                keep(report)
    return report


def _part(
    plant: WebPlant, ledger: str, part: str, of: dict[str, Any], began: float, seconds: float
) -> dict[str, Any]:
    """Measure a part into `of`; the figures that have an aim, each told."""
    if part == "pages":
        of["pages"] = taken = pages(plant, of["jobs"], began + seconds * PAGES_UNTIL)
        of["slowest"] = explained(plant)
        figures = {
            f"{key}_{ledger}": max((one[figure] for one in taken.values()), default=None)
            for key, figure in (
                ("page_ms_median", "median"),
                ("page_busy_ms", "busy_median"),
                ("page_ms_p99", "p99"),
            )
        }
    elif part == "viewers":
        of["viewers"] = viewers_cost(plant)
        figures = {f"viewers_cost_{ledger}": of["viewers"]["ratio"]}
    else:
        of["kills"] = kills(plant, began + seconds)
        figures = {
            f"kill_over_cli_ms_{ledger}": of["kills"]["over_ms"],
            f"kill_page_ms_p99_{ledger}": of["kills"]["while_twenty_look"]["page_answered"]["p99"],
        }
    for target in TARGETS:
        if (value := figures.get(target.key)) is not None:
            met = "met" if target.is_met(value) else "MISSED"
            aim = f"{target.limit:g} {target.unit}"
            _tell(f"{target.says}: {value:,} {target.unit} (at most {aim}: {met})")
    _tell(f"{ledger}: {part} measured {time.monotonic() - began:.0f} s after it was made")
    return figures


def _tell(line: str) -> None:
    """Who waits for minutes wants to know for what."""
    print(line, file=sys.stderr, flush=True)


def _keep(report: dict[str, Any]) -> None:
    """Write what is known; parts that were not measured anew stay as they were."""
    before = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    for key, value in report.items():
        before[key] = before.get(key, {}) | value if isinstance(value, dict) else value
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(before, indent=2) + "\n")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.web", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--names", type=int, default=NAMES)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="for each ledger, without its making"
    )
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="both when left out")
    parser.add_argument("--part", choices=PARTS, action="append", help="all when left out")
    asked = parser.parse_args()
    ledgers, parts = asked.ledger or LEDGERS, asked.part or PARTS
    measure(asked.jobs, asked.names, asked.seconds, ledgers, parts, _keep)
    _tell(f"all figures: {REPORT}")


if __name__ == "__main__":
    main()
