"""Series of the Numenta Anomaly Benchmark, from a checkout of it that the caller has.

No package ships NAB, and this project does not either. `data/GROUP/NAME.csv` holds lines
`timestamp,value`, `labels/combined_windows.json` the labelled windows of each file. Values stand
for p95 cycle times; the watch only minds the factors between them, so their unit does not matter.

Source: Lavin & Ahmad, ICMLA 2015; Ahmad et al., Neurocomputing 2017.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ops.incidents.series import Series, Span
from rollout.drills.watch import Rules
from rollout.evidence.sample import PathSample

GROUPS = ("realKnownCause", "realAWSCloudwatch", "realAdExchange", "realTraffic", "realTweets")
"""The real series; the artificial ones are left out."""

JOBS = 100
LARGEST_S = 1000.0
"""Values are scaled so that the largest is this many seconds."""


class NotNab(Exception):
    """The folder is no checkout of NAB."""

    def __init__(self, folder: Path, missing: Path) -> None:
        super().__init__(f"{folder} must be a checkout of NAB, {missing} is not there")


def all_series(folder: Path) -> Iterator[Series]:
    """Give each real series of the checkout, by name; one with a negative value is left out.

    Raises:
        NotNab: The labels are not there.
    """
    path = folder / "labels" / "combined_windows.json"
    if not path.is_file():
        raise NotNab(folder, path)
    labels = json.loads(path.read_text())
    for name in sorted(labels):
        if name.split("/")[0] in GROUPS:
            spans = [Span(_at(begin), _at(end)) for begin, end in labels[name]]
            series = _series(name.removesuffix(".csv"), folder / "data" / name, spans)
            if series is not None:
                yield series


def _series(name: str, path: Path, labels: list[Span]) -> Series | None:
    with path.open(newline="") as lines:
        rows = {_at(row["timestamp"]): float(row["value"]) for row in csv.DictReader(lines)}
    largest = max(rows.values())
    if min(rows.values()) < 0 or largest == 0:
        return None
    samples = [
        PathSample(at, JOBS, 0, value / largest * LARGEST_S, 0.0)
        for at, value in sorted(rows.items())
    ]
    return Series(name, samples, labels, Rules())


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
