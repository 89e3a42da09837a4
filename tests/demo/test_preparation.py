"""Cutting the source into jobs."""

import json
from pathlib import Path

import pytest

from rollout.demo.preparation import (
    corrupt_copy,
    jobs,
    prepare,
    raw_file,
    reference_file,
)
from rollout.demo.record import InputMissing
from rollout.demo.reference import SqlReference, from_source, in_memory
from rollout.demo.source import flight_lines
from tests.demo.conftest import DAYS


def test_one_job_per_day_and_origin(folder: Path) -> None:
    """Three airports, each day, in order."""
    listed = [(day, origin) for day, origin, _ in jobs(folder)]
    assert listed == [(day, origin) for day in DAYS for origin in ("EWR", "JFK", "LGA")]


def test_raw_files_hold_the_text_of_the_source(folder: Path, source: Path) -> None:
    """Every line of the source is in exactly one raw file, unchanged."""
    with flight_lines(source) as lines:
        header, *expected = lines
    found: list[str] = []
    for day, origin, records in jobs(folder):
        first, *rest = raw_file(folder, day, origin).read_text("utf-8").splitlines(keepends=True)
        assert first == header
        assert len(rest) == records
        found += rest
    assert sorted(found) == sorted(expected)


def test_prepared_folder_is_left_alone(folder: Path, source: Path) -> None:
    """A second call changes no file."""
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    prepare(folder, source)
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())


def test_broken_off_preparation_is_done_again(tmp_path: Path, source: Path) -> None:
    """Without a manifest of this source nothing is trusted."""
    prepare(tmp_path, source)
    manifest, raw = tmp_path / "manifest.json", raw_file(tmp_path, "2013-01-01", "EWR")
    complete = raw.read_bytes()
    for content in (None, json.dumps({"layout": 0, "source_bytes": {}, "jobs": []})):
        raw.write_bytes(complete[:100])
        manifest.unlink()
        if content is not None:
            manifest.write_text(content, encoding="utf-8")
        prepare(tmp_path, source)
        assert raw.read_bytes() == complete


def test_unprepared_folder_has_no_jobs(tmp_path: Path) -> None:
    """An empty list would make a demo that proves nothing."""
    with pytest.raises(InputMissing, match=r"manifest\.json"):
        jobs(tmp_path)
    with pytest.raises(InputMissing):
        corrupt_copy(tmp_path, "2013-01-01", "EWR")


def test_reference_database_equals_the_source(folder: Path, source: Path) -> None:
    """By dictionary and by query, the database answers as the CSV files do."""
    expected, loaded = from_source(source), in_memory(reference_file(folder))
    assert vars(loaded) == vars(expected)
    assert in_memory(reference_file(folder)) is loaded
    queried = SqlReference(reference_file(folder))
    for carrier, name in expected.airlines.items():
        assert queried.airline(carrier) == name
    for code in [*list(expected.airports)[::50], "SJU"]:
        assert queried.airport(code) == expected.airport(code)
    for tail_number in [*list(expected.planes)[::50], "N00000", None]:
        assert queried.plane(tail_number) == expected.plane(tail_number)
    for origin, hour in [*list(expected.hours)[::500], ("EWR", "2013-12-31T23:00:00Z")]:
        assert queried.weather(origin, hour) == expected.weather(origin, hour)
    queried.close()


def test_corrupt_copy_is_no_job_of_the_list(folder: Path) -> None:
    """It must be submitted on purpose."""
    corrupt_copy(folder, "2013-01-01", "EWR", "QQQ")
    assert "QQQ" not in {origin for _, origin, _ in jobs(folder)}
