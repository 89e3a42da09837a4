"""Both paths give the same rows, or the same complaint, and leave nothing behind."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.demo.paths import (
    ForcedCrash,
    UnknownFault,
    load_overlapped,
    load_record_by_record,
)
from rollout.demo.preparation import corrupt_copy, jobs, staging_folder
from rollout.demo.record import CorruptInput, InputMissing
from rollout.demo.transform import COLUMNS
from tests.demo.conftest import DAYS

PathFunction = Callable[..., list[list[Any]]]
BOTH = pytest.mark.parametrize("path", [load_record_by_record, load_overlapped])


def left_behind(folder: Path) -> list[Path]:
    """What is still in the staging folder."""
    return list(staging_folder(folder).iterdir())


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("origin", ["EWR", "JFK", "LGA"])
def test_identical_rows(folder: Path, day: str, origin: str) -> None:
    """Same rows, same order, same types, all records, and JSON carries them unchanged."""
    records = {job[:2]: job[2] for job in jobs(folder)}[day, origin]
    legacy = load_record_by_record(str(folder), day, origin)
    concurrent = load_overlapped(str(folder), day, origin)
    assert json.dumps(concurrent) == json.dumps(legacy)
    assert json.loads(json.dumps(legacy)) == legacy
    assert [row[0] for row in legacy] == [
        f"{day}/{origin}/{number:04}" for number in range(1, records + 1)
    ]
    assert {len(row) for row in legacy} == {len(COLUMNS)}
    assert left_behind(folder) == []


def test_snow_cancelled_many_flights(folder: Path) -> None:
    """The sample holds what it was chosen for."""
    rows = load_overlapped(str(folder), "2013-02-08", "LGA")
    cancelled = sum(row[list(COLUMNS).index("cancelled")] for row in rows)
    assert cancelled > 100


@BOTH
def test_corrupt_input(folder: Path, path: PathFunction) -> None:
    """Both name file, line, expectation and finding, and remove their staging."""
    file = corrupt_copy(folder, "2013-01-01", "EWR")
    with pytest.raises(CorruptInput) as raised:
        path(str(folder), "2013-01-01", "XXX", fault="corrupt")
    assert (raised.value.file, raised.value.line) == (str(file), 154)
    assert raised.value.expected == "19 fields"
    assert raised.value.came.startswith("12 fields: '2013,1,1,")
    assert left_behind(folder) == []


@BOTH
def test_unknown_job(folder: Path, path: PathFunction) -> None:
    """A day that was not prepared."""
    with pytest.raises(InputMissing):
        path(str(folder), "2014-01-01", "EWR")
    assert left_behind(folder) == []


@BOTH
@pytest.mark.parametrize("fault", ["explode", "hang:long", "crash:1", ""])
def test_unknown_fault(folder: Path, path: PathFunction, fault: str) -> None:
    """A mistyped fault must not look like a job that went well."""
    with pytest.raises(UnknownFault, match="correct the arguments of the job"):
        path(str(folder), "2013-01-01", "EWR", fault=fault)


def test_crash_hits_the_concurrent_path_only(folder: Path) -> None:
    """The legacy path carries the job through; the threads of the other have ended."""
    threads = threading.active_count()
    with pytest.raises(ForcedCrash):
        load_overlapped(str(folder), "2013-01-01", "EWR", fault="crash")
    assert left_behind(folder) == []
    assert threading.active_count() == threads
    assert load_record_by_record(str(folder), "2013-01-01", "EWR", fault="crash")


def test_hang_delays_the_concurrent_path_only(folder: Path) -> None:
    """It sleeps once for the given seconds, then gives the same rows."""
    started = time.monotonic()
    legacy = load_record_by_record(str(folder), "2013-01-01", "JFK", fault="hang:5")
    assert time.monotonic() - started < 5
    started = time.monotonic()
    assert load_overlapped(str(folder), "2013-01-01", "JFK", fault="hang:0.2") == legacy
    assert time.monotonic() - started >= 0.2
