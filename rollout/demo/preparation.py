"""Cut the source into one raw file per job, once per demo, and lay out the demo folder."""

import csv
import json
from collections import defaultdict
from pathlib import Path

from rollout.demo.record import InputMissing
from rollout.demo.reference import build_database, from_source
from rollout.demo.source import FLIGHTS, REFERENCE_TABLES, flight_lines, source_folder

# Raised when the layout of the folder changes, so that an older folder is prepared again.
LAYOUT = 1


def raw_file(folder: str | Path, day: str, origin: str) -> Path:
    """Path of the raw file of one day and origin."""
    return Path(folder) / "raw" / f"{day}-{origin}.csv"


def reference_file(folder: str | Path) -> Path:
    """Path of the SQLite database with airlines, airports, planes and weather."""
    return Path(folder) / "reference.db"


def staging_folder(folder: str | Path) -> Path:
    """Folder in which each running job has a temporary folder of its own."""
    return Path(folder) / "staging"


def prepare(folder: Path, source: Path | None = None) -> None:
    """Write the raw files, the reference database and the list of jobs under `folder`.

    Does nothing when the folder is complete and made from the same source; an incomplete one is
    written anew. Takes a few seconds; files of other names stay.

    Args:
        folder: Made when it is not there; about 40 MB.
        source: Folder with the source's files; None takes the installed package.

    Raises:
        SourceMissing: the data package is not installed.
    """
    source = source or source_folder()
    sizes = {
        name: (source / name).stat().st_size
        for name in (FLIGHTS, *(f"{table}.csv" for table in REFERENCE_TABLES))
    }
    manifest = folder / "manifest.json"
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if (found["layout"], found["source_bytes"]) == (LAYOUT, sizes):
            return
        manifest.unlink()
    for part in (folder / "raw", staging_folder(folder)):
        part.mkdir(parents=True, exist_ok=True)
    jobs = _cut(source, folder)
    reference_file(folder).unlink(missing_ok=True)
    build_database(from_source(source), reference_file(folder))
    # Written last and moved into place: only a complete folder has a manifest.
    unfinished = folder / "manifest.json.unfinished"
    content = {"layout": LAYOUT, "source_bytes": sizes, "jobs": jobs}
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(manifest)


def jobs(folder: str | Path) -> list[tuple[str, str, int]]:
    """Day, origin and number of records of each job, by day and origin.

    Raises:
        InputMissing: the folder is not prepared.
    """
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise InputMissing(str(manifest))
    listed = json.loads(manifest.read_text(encoding="utf-8"))["jobs"]
    return [(day, origin, records) for day, origin, records in listed]


def corrupt_copy(folder: str | Path, day: str, origin: str, damaged_origin: str = "XXX") -> Path:
    """Write a damaged copy of a raw file under another origin's name, and return its path.

    The record in the middle ends after half its text, as after a broken transfer; all others
    are in order. A job for `(day, damaged_origin)` raises `CorruptInput` on both paths.

    Raises:
        InputMissing: the folder is not prepared for that day and origin.
    """
    intact = raw_file(folder, day, origin)
    if not intact.is_file():
        raise InputMissing(str(intact))
    lines = intact.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [line.replace(f",{origin},", f",{damaged_origin},", 1) for line in lines]
    middle = len(lines) // 2
    lines[middle] = lines[middle][: len(lines[middle]) // 2] + "\n"
    damaged = raw_file(folder, day, damaged_origin)
    damaged.write_text("".join(lines), encoding="utf-8")
    return damaged


def _cut(source: Path, folder: Path) -> list[tuple[str, str, int]]:
    """Write one raw file per day and origin, lines as in the source; return the jobs."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    with flight_lines(source) as lines:
        header = next(lines)
        names = next(csv.reader([header]))
        positions = [names.index(name) for name in ("year", "month", "day", "origin")]
        for line in lines:
            # No field of this file holds a comma or a quote, so a split is a parse.
            fields = line.split(",")
            year, month, day, origin = (fields[position] for position in positions)
            groups[f"{year}-{month:0>2}-{day:0>2}", origin].append(line)
    for (day, origin), group in groups.items():
        with raw_file(folder, day, origin).open("w", encoding="utf-8", newline="") as file:
            file.write(header)
            file.writelines(group)
    return [(day, origin, len(groups[day, origin])) for day, origin in sorted(groups)]
