"""Reading raw files: typed records, or a complaint with file, line, expectation and finding."""

from pathlib import Path

import pytest

from rollout.demo.preparation import raw_file
from rollout.demo.record import HEADER, CorruptInput, InputMissing, parse, read_records


def with_field(fields: list[str], name: str, text: str) -> list[str]:
    """The fields with one of them replaced."""
    return [text if column == name else field for column, field in zip(HEADER, fields, strict=True)]


def test_clock_times_become_minutes(fields: list[str]) -> None:
    """517 is 5:17; 2400 is midnight at the end of the day; NA is unknown."""
    record = parse(fields, 1, "raw.csv")
    assert (record.departure_clock, record.scheduled_departure_clock) == (317, 315)
    assert parse(with_field(fields, "arr_time", "2400"), 1, "raw.csv").arrival_clock == 1440
    assert parse(with_field(fields, "dep_time", "NA"), 1, "raw.csv").departure_clock is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("year", "13x"),
        ("month", "13"),
        ("day", "NA"),
        ("dep_time", "1275"),
        ("arr_time", "2401"),
        ("sched_dep_time", "-5"),
        ("sched_arr_time", "NA"),
        ("dep_delay", "2.5"),
        ("flight", ""),
        ("distance", "far"),
        ("time_hour", "2013-01-01T"),
    ],
)
def test_damaged_field_is_refused(fields: list[str], name: str, text: str) -> None:
    """Each typed column refuses what it cannot hold."""
    damaged = with_field(fields, name, text)
    with pytest.raises(CorruptInput) as raised:
        parse(damaged, 7, "raw.csv")
    assert (raised.value.file, raised.value.line) == ("raw.csv", 8)
    assert "fetch the file again" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "line", "expected"),
    [
        (b"", 1, "the header"),
        (b"a,b,c\n", 1, "the header"),
        (",".join(HEADER).encode() + b"\n2013,1,1,517\n", 2, "19 fields"),
        (",".join(HEADER).encode() + b"\n\xff\xfe\n", 1, "CSV text"),
        (",".join(HEADER).encode() + b'\n"2013,1\n', 3, "CSV text"),
    ],
)
def test_damaged_file(tmp_path: Path, content: bytes, line: int, expected: str) -> None:
    """Empty, foreign, cut short, not text, an open quote."""
    file = tmp_path / "raw.csv"
    file.write_bytes(content)
    with pytest.raises(CorruptInput) as raised:
        list(read_records(file, "2013-01-01", "EWR"))
    assert raised.value.line == line
    assert raised.value.expected.startswith(expected)


def test_record_of_another_job_is_refused(folder: Path) -> None:
    """A file under a wrong name must not load one airport's flights as another's."""
    with pytest.raises(CorruptInput, match="expected a flight of 2013-01-01 JFK, got 2013-01-01 E"):
        list(read_records(raw_file(folder, "2013-01-01", "EWR"), "2013-01-01", "JFK"))


def test_missing_file_says_what_to_do(folder: Path) -> None:
    """Not prepared is not corrupt."""
    with pytest.raises(InputMissing, match=r"run prepare\(folder\) first"):
        list(read_records(raw_file(folder, "2013-07-04", "EWR"), "2013-07-04", "EWR"))


def test_complaint_survives_the_way_between_processes() -> None:
    """Celery rebuilds an exception from its class and its arguments."""
    error = CorruptInput("raw.csv", 8, "19 fields", "4 fields")
    assert str(CorruptInput(*error.args)) == str(error)
    assert str(error) == (
        "raw.csv, line 8: expected 19 fields, got 4 fields; fetch the file again, "
        "then retry the job"
    )
