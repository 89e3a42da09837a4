"""`python -m tests.crash.side_by_side`: the table, in one run, as JSON and Markdown."""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.crash.side_by_side.app import MODES
from tests.crash.side_by_side.case import Case, Order

_HEAD = (
    "way", "pool", "submitted", "lost with the broker's memory", "lost otherwise", "left waiting",
    "done twice",
)  # fmt: skip


def main() -> int:
    """Run every case; exit code 1 when rollout lost a job or did one twice."""
    given = _arguments()
    rows: list[dict[str, Any]] = []
    for pool in ("prefork", "threads"):
        for mode in MODES:
            folder = Path(tempfile.mkdtemp(prefix=f"side-{mode}-{pool}-"))
            order = Order(mode, pool, given.jobs, given.seed)
            counted = Case(order, folder).run()
            rows.append({"way": MODES[mode], "mode": mode, "pool": pool, **asdict(counted)})
            print(rows[-1], flush=True)
            if not given.keep:
                shutil.rmtree(folder)
    report = {"jobs": given.jobs, "seed": given.seed, "rows": rows}
    given.report.parent.mkdir(parents=True, exist_ok=True)
    given.report.write_text(json.dumps(report, indent=2) + "\n")
    given.report.with_suffix(".md").write_text(markdown(rows) + "\n")
    print(markdown(rows))
    print(f"report {given.report}")
    ours = [row for row in rows if row["mode"] == "rollout"]
    return int(any(row["lost"] or row["waiting"] or row["done_twice"] for row in ours))


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table as the README has it."""
    lines = [f"| {' | '.join(_HEAD)} |", "|---|---|" + "---:|" * (len(_HEAD) - 2)]
    for row in rows:
        with_memory = row["lost_with_memory"]
        figures = (
            row["submitted"], with_memory, row["lost"] - with_memory, row["waiting"],
            row["done_twice"],
        )  # fmt: skip
        lines.append(f"| {row['way']} | {row['pool']} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.side_by_side", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folders with the logs")
    parser.add_argument("--report", type=Path, default=Path("reports/side_by_side.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
