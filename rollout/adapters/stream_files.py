"""Reads recorded jobs from CSV or JSON lines, and says in which line something cannot be.

Columns (CSV: a header names them; JSON lines: one object a line):

- `arrival`: when the job came, ISO 8601 or seconds since 1970; lines are ordered by it.
- `key`: what it is routed by; without it each job is routed by its own number.
- Either `legacy_s`, `concurrent_s`, `legacy_failed`, `concurrent_failed`: both paths are known.
- Or `cycle_s` (or `finished`, a time like `arrival`), `failed` and, if not legacy, `path`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from rollout.errors import why_of
from rollout.evidence.buckets import DURATION_S_MAX
from rollout.rehearsal.counterfactual import Recorded, complete
from rollout.rehearsal.job_stream import (
    SECOND_US,
    BadStream,
    JobStream,
    numbers_of,
    positions_of,
    us_of,
)
from rollout.routing.decision import JobPath

BOTH = ("legacy_s", "concurrent_s", "legacy_failed", "concurrent_failed")
COLUMNS = ("arrival", "key", *BOTH, "cycle_s", "finished", "failed", "path")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})


class BadLine(BadStream):
    """A line of a recorded stream that cannot be; nothing was simulated."""

    def __init__(self, file: Path, line: int, what: str, hint: str) -> None:
        self.file = file
        self.line = line
        super().__init__(f"{file} line {line}: {what}", hint)


@dataclass(slots=True)
class _Read:
    """What was read so far, a list for each column."""

    at_us: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    taken_us: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    failed: tuple[list[bool], list[bool]] = field(default_factory=lambda: ([], []))
    took: tuple[list[bool], list[bool]] = field(default_factory=lambda: ([], []))


def read_stream(file: Path, name: str) -> JobStream:
    """Read a recorded stream; `.jsonl` and `.ndjson` are JSON lines, everything else is CSV.

    Args:
        file: To read.
        name: Sub-pipeline, which salts the routing.

    Raises:
        BadLine: A line cannot be; it names the line.
        BadStream: The file cannot be read, or holds no job.
    """
    read = _Read()
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:  # spreadsheets mark it
            json_lines = file.suffix.lower() in (".jsonl", ".ndjson")
            lines = _json_lines(file, opened) if json_lines else _csv_lines(file, opened)
            for number, values in lines:
                _take(read, _Line(file, number, values))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadStream(
            f"{file} cannot be read: {why_of(error)}", "give a CSV or JSONL file"
        ) from error
    if not read.at_us:
        raise BadStream(f"{file} must hold a job a line, got none", _columns())
    return _built(read, name)


def _built(read: _Read, name: str) -> JobStream:
    at_us, jobs = np.array(read.at_us, dtype=np.int64), len(read.at_us)
    keyed = bool(read.keys)
    keys: Sequence[str] = read.keys if keyed else [str(number) for number in range(jobs)]
    taken = [np.array(one, dtype=np.int64) for one in read.taken_us]
    failed = [np.array(one, dtype=np.bool_) for one in read.failed]
    took = [np.array(one, dtype=np.bool_) for one in read.took]
    return complete(
        name,
        at_us,
        positions_of(name, keys, jobs),
        numbers_of(keys) if keyed else None,
        Recorded(took[0], took[1], taken[0], taken[1], failed[0], failed[1]),
    )


def _csv_lines(file: Path, opened: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = csv.reader(opened)
    header = [one.strip() for one in next(rows, [])]
    for column in header:
        _must_know(file, 1, column)
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            what = f"must have {len(header)} cells as the header has, got {len(cells)}"
            raise BadLine(file, rows.line_num, what, "quote cells that hold commas")
        yield rows.line_num, dict(zip(header, cells, strict=True))


def _json_lines(file: Path, opened: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(opened, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise BadLine(
                file, number, f"must be a JSON object, got {line[:40]!r}", str(error)
            ) from None
        if not isinstance(values, dict):
            raise BadLine(file, number, f"must be a JSON object, got {line[:40]!r}", _columns())
        for column in values:
            _must_know(file, number, column)
        yield number, values


def _must_know(file: Path, number: int, column: str) -> None:
    if column not in COLUMNS:
        close = get_close_matches(column, COLUMNS, n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        raise BadLine(file, number, f"has an unknown column {column!r}{guess}", _columns())


def _columns() -> str:
    return (
        "columns are arrival, cycle_s (or finished), failed and, if you have them, key and path;"
        f" or arrival, {', '.join(BOTH)}"
    )


class _Line:
    """One line; what it says is read by kind, and what cannot be is refused with its number."""

    def __init__(self, file: Path, number: int, values: Mapping[str, Any]) -> None:
        self.file = file
        self.number = number
        self.values = values

    def bad(self, what: str, hint: str) -> BadLine:
        """What is wrong with it."""
        return BadLine(self.file, self.number, what, hint)

    def has(self, column: str) -> bool:
        """Whether it says anything there."""
        return self.values.get(column) not in (None, "")

    def time_us(self, column: str) -> int:
        """Microseconds since 1970."""
        came = self.values.get(column)
        try:
            if isinstance(came, str) and not _is_number(came):
                at = datetime.fromisoformat(came.strip())
                return us_of(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
            seconds = float(came)  # type: ignore[arg-type]  # what no number is, raises
            if 0 <= seconds < 1e11:
                return round(seconds * SECOND_US)
        except (TypeError, ValueError, OverflowError):
            pass  # refused below, with the line
        what = f"{column} must be ISO 8601 or seconds since 1970, got {came!r}"
        raise self.bad(what, "write 2026-01-05T09:00:00Z or 1767603600.5")

    def duration_us(self, column: str) -> int:
        """A span in microseconds."""
        came = self.values.get(column)
        try:
            seconds = float(came)  # type: ignore[arg-type]  # what no number is, raises
        except (TypeError, ValueError):
            seconds = float("nan")
        if not 0.0 <= seconds <= DURATION_S_MAX:  # NaN is refused, too
            what = f"{column} must be 0..{DURATION_S_MAX:.0f} seconds, got {came!r}"
            raise self.bad(what, "leave the job out if its clock was wrong")
        return round(seconds * SECOND_US)

    def flag(self, column: str) -> bool:
        """A yes or no."""
        came = self.values.get(column)
        word = str("" if came is None else came).strip().lower()
        if word not in _TRUE | _FALSE:
            raise self.bad(f"{column} must be true or false, got {came!r}", "1 and 0 will do, too")
        return word in _TRUE


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _take(read: _Read, line: _Line) -> None:
    at_us = line.time_us("arrival")
    if read.at_us and at_us < read.at_us[-1]:
        what = f"arrival {line.values['arrival']} is before that of the line before it"
        raise line.bad(what, "a clock went backwards, or the lines are not sorted by arrival")
    keyed = line.has("key")
    if read.at_us and keyed != bool(read.keys):
        raise line.bad("key must be there in every line or in none", "give each job its key")
    if any(line.has(column) for column in BOTH):
        _take_both(read, line)
    else:
        _take_one(read, line, at_us)
    if keyed:
        read.keys.append(str(line.values["key"]))
    read.at_us.append(at_us)


def _take_both(read: _Read, line: _Line) -> None:
    for place, path in enumerate(("legacy", "concurrent")):
        read.taken_us[place].append(line.duration_us(f"{path}_s"))
        read.failed[place].append(line.flag(f"{path}_failed"))
        read.took[place].append(True)


def _take_one(read: _Read, line: _Line, at_us: int) -> None:
    if line.has("finished"):
        taken_us = line.time_us("finished") - at_us
        if taken_us < 0:
            what = f"finished {line.values['finished']} is before arrival {line.values['arrival']}"
            raise line.bad(what, "leave the job out; a clock was wrong")
        if taken_us > DURATION_S_MAX * SECOND_US:
            what = f"finished must be at most {DURATION_S_MAX:.0f} s after arrival"
            raise line.bad(f"{what}, got {taken_us / SECOND_US:.0f}", "leave the job out")
    else:
        taken_us = line.duration_us("cycle_s")
    path = str(line.values.get("path") or JobPath.LEGACY)
    if path not in list(JobPath):
        raise line.bad(f"path must be legacy or concurrent, got {path!r}", "legacy is the default")
    failed = line.flag("failed")
    for place, one in enumerate((JobPath.LEGACY, JobPath.CONCURRENT)):
        mine = path == one
        read.taken_us[place].append(taken_us if mine else 0)
        read.failed[place].append(failed and mine)
        read.took[place].append(mine)
