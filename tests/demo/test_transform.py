"""The transform on real records, chosen for what they lack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.demo.preparation import jobs, raw_file
from rollout.demo.record import Record, read_records
from rollout.demo.reference import MemoryReference, from_source
from rollout.demo.transform import COLUMNS, Joined, look_up, transform

Row = dict[str, Any]


@pytest.fixture(scope="session")
def reference(source: Path) -> MemoryReference:
    """The real reference tables."""
    return from_source(source)


@pytest.fixture(scope="session")
def records(folder: Path) -> list[Record]:
    """All records of the sample."""
    return [
        record
        for day, origin, _ in jobs(folder)
        for record in read_records(raw_file(folder, day, origin), day, origin)
    ]


@pytest.fixture
def row_where(
    records: list[Record], reference: MemoryReference
) -> Callable[[Callable[[Record, Joined], bool]], Row]:
    """The row of the first record for which a condition holds."""

    def first(condition: Callable[[Record, Joined], bool]) -> Row:
        joined = ((record, look_up(record, reference)) for record in records)
        found = next(pair for pair in joined if condition(*pair))
        return dict(zip(COLUMNS, transform(*found), strict=True))

    return first


RowWhere = Callable[[Callable[[Record, Joined], bool]], Row]


def test_plain_flight(row_where: RowWhere) -> None:
    """Every column of the very first record of the source."""
    assert row_where(lambda record, joined: True) == {
        "record": "2013-01-01/EWR/0001",
        "day": "2013-01-01",
        "origin": "EWR",
        "carrier": "UA",
        "airline": "United Air Lines Inc.",
        "flight": 1545,
        "destination": "IAH",
        "destination_name": "George Bush Intercontinental",
        "scheduled_hour_utc": "2013-01-01T10:00:00Z",
        "scheduled_departure": "2013-01-01T05:15",
        "departure": "2013-01-01T05:17",
        "scheduled_arrival": "2013-01-01T08:19",
        "arrival": "2013-01-01T08:30",
        "departure_delay_min": 2,
        "arrival_delay_min": 11,
        "total_delay_min": 13,
        "air_time_min": 227,
        "distance_mi": 1400,
        "speed_mph": 370.0,
        "cancelled": 0,
        "arrival_unknown": 0,
        "after_midnight": 0,
        "tail_number": "N14228",
        "plane_model": "737-824",
        "plane_seats": 149,
        "plane_age_years": 14,
        "temperature_f": 39.02,
        "wind_speed_mph": 12.658579999999999,
        "precipitation_in": 0.0,
        "visibility_mi": 10.0,
    }


def test_cancelled_flight_has_a_plan_and_nothing_else(row_where: RowWhere) -> None:
    """Snow on 2013-02-08: no times, no delays, but the plan stays."""
    row = row_where(lambda record, _: record.departure_clock is None)
    assert row["cancelled"] == 1
    actual = ("departure", "arrival", "departure_delay_min", "arrival_delay_min")
    derived = ("total_delay_min", "air_time_min", "speed_mph", "after_midnight")
    assert all(row[name] is None for name in actual + derived)
    assert row["scheduled_departure"] is not None
    assert row["scheduled_arrival"] is not None
    assert row["arrival_unknown"] == 0


def test_departed_without_arrival_delay(row_where: RowWhere) -> None:
    """A flight that left and came down somewhere, some time, is not a cancelled one."""
    row = row_where(
        lambda record, _: (
            record.departure_clock is not None
            and record.arrival_clock is not None
            and record.arrival_delay_min is None
        )
    )
    assert (row["cancelled"], row["arrival_unknown"]) == (0, 1)
    assert row["total_delay_min"] is None
    assert row["departure"] < row["arrival"]


def test_no_tail_number_and_unknown_plane(row_where: RowWhere) -> None:
    """Both have no model, seats or age; the tail number is kept when there is one."""
    nameless = row_where(lambda record, _: record.tail_number is None)
    unknown = row_where(
        lambda record, joined: record.tail_number is not None and joined.plane is None
    )
    assert nameless["tail_number"] is None
    assert unknown["tail_number"] is not None
    for row in (nameless, unknown):
        assert (row["plane_model"], row["plane_seats"], row["plane_age_years"]) == (None,) * 3


def test_plane_of_unknown_year(row_where: RowWhere) -> None:
    """A model without an age."""
    row = row_where(lambda _, joined: joined.plane is not None and joined.plane.year is None)
    assert row["plane_model"] is not None
    assert row["plane_age_years"] is None


def test_missing_weather(row_where: RowWhere) -> None:
    """The source has no weather for the last day: four unknowns, never a zero."""
    row = row_where(lambda _, joined: joined.weather is None)
    names = ("temperature_f", "wind_speed_mph", "precipitation_in", "visibility_mi")
    assert [row[name] for name in names] == [None] * 4


def test_unknown_destination_keeps_its_code(row_where: RowWhere) -> None:
    """San Juan is not in the list of airports."""
    row = row_where(lambda record, _: record.destination == "SJU")
    assert row["destination_name"] is None


def test_planned_and_real_arrival_after_midnight(row_where: RowWhere) -> None:
    """An arrival clock below the departure's means the next day."""
    row = row_where(
        lambda record, _: (
            record.arrival_delay_min is not None
            and record.scheduled_arrival_clock < record.scheduled_departure_clock
        )
    )
    assert row["after_midnight"] == 1
    assert row["day"] == row["scheduled_departure"][:10] < row["scheduled_arrival"][:10]


def test_arrival_pushed_past_midnight_by_its_delay(row_where: RowWhere) -> None:
    """Planned before midnight, arrived after it."""
    row = row_where(
        lambda record, _: (
            record.arrival_delay_min is not None
            and record.scheduled_arrival_clock > record.scheduled_departure_clock
            and record.scheduled_arrival_clock + record.arrival_delay_min >= 1440
        )
    )
    assert row["after_midnight"] == 1
    assert row["scheduled_arrival"][:10] == row["day"] < row["arrival"][:10]


def test_departure_at_2400_is_the_next_day_at_zero(row_where: RowWhere) -> None:
    """Midnight has one text, whichever of its two clock times the source used."""
    row = row_where(lambda record, _: record.departure_clock == 1440)
    assert row["scheduled_departure"] == "2013-10-30T23:59"
    assert row["departure"] == "2013-10-31T00:00"


def test_derived_times_agree_with_the_clocks_of_the_source(
    records: list[Record], reference: MemoryReference
) -> None:
    """Plan plus delay gives the clock time that the source tells, for each record with both."""
    for record in records:
        row = dict(zip(COLUMNS, transform(record, look_up(record, reference)), strict=True))
        pairs = (
            (record.departure_clock, row["departure"]),
            (record.arrival_clock, row["arrival"]),
        )
        for clock, moment in pairs:
            if clock is None:
                assert moment is None
            else:
                assert moment[11:] == f"{clock % 1440 // 60:02}:{clock % 60:02}"


def test_values_have_the_types_of_their_columns(
    records: list[Record], reference: MemoryReference
) -> None:
    """Exactly str, int, float or None: what JSON carries and both databases give back."""
    for record in records:
        row = transform(record, look_up(record, reference))
        for value, kind in zip(row, COLUMNS.values(), strict=True):
            assert value is None or type(value) is kind
