"""`python -m ops.incidents [--nab FOLDER] [--list]`: watch recorded series and print the score."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ops.incidents import flights, nab
from ops.incidents.series import HEADING, Series, scored


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch every series, print a line for each and write the report."""
    parser = argparse.ArgumentParser(prog="python -m ops.incidents", description=__doc__)
    parser.add_argument("--nab", type=Path, help="a checkout of NAB, instead of the flights")
    parser.add_argument("--list", action="store_true", help="print each incident too")
    parser.add_argument("--out", type=Path, default=Path("reports/incidents.json"))
    chosen = parser.parse_args(arguments)
    found = flights.all_series() if chosen.nab is None else nab.all_series(chosen.nab)
    report = []
    print(HEADING)
    for series in found:
        report.append(_one(series, chosen.list))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"series": report}, indent=1) + "\n")
    return 0


def _one(series: Series, listed: bool) -> dict[str, object]:
    score, incidents = scored(series)
    print(score.render(), flush=True)
    if listed:
        for one in incidents:
            print(f"  {one.onset_at:%Y-%m-%d %H:%M} {one.sentence}")
    return {**asdict(score), "excursions": [one.to_json() for one in incidents]}


if __name__ == "__main__":
    raise SystemExit(main())
