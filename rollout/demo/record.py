"""One flight record: from a line of the raw file to typed values, or a precise complaint."""

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

HEADER = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
]


class CorruptInput(Exception):
    """A raw file holds something that is no flight record; no path can load it.

    Attributes:
        file: Path of the raw file.
        line: Line number in it, the header is 1.
        expected: What should have been there.
        came: What was there.
    """

    def __init__(self, file: str, line: int, expected: str, came: str) -> None:
        # All four as arguments, so that a copy made from `args` in another process is equal.
        super().__init__(file, line, expected, came)
        self.file, self.line, self.expected, self.came = file, line, expected, came

    def __str__(self) -> str:
        return (
            f"{self.file}, line {self.line}: expected {self.expected}, got {self.came}; "
            "fetch the file again, then retry the job"
        )


class InputMissing(Exception):
    """The prepared files are not there, or not for this day and origin; prepare the demo."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = file

    def __str__(self) -> str:
        return (
            f"expected the prepared file {self.file}, found none; run prepare(folder) first "
            "and take day and origin from jobs(folder)"
        )


class Record(NamedTuple):
    """One flight as the source tells it; clock times in minutes since local midnight, 0..1440.

    The source writes midnight as 2400 when it ends the day, hence 1440. None is its NA.
    """

    number: int
    day: date
    departure_clock: int | None
    scheduled_departure_clock: int
    departure_delay_min: int | None
    arrival_clock: int | None
    scheduled_arrival_clock: int
    arrival_delay_min: int | None
    carrier: str
    flight: int
    tail_number: str | None
    origin: str
    destination: str
    air_time_min: int | None
    distance_mi: int
    scheduled_hour_utc: str


def read_records(file: Path, day: str, origin: str) -> Iterator[Record]:
    """Read the raw file of one day and origin, record by record, in the file's order.

    Raises:
        InputMissing: there is no such file.
        CorruptInput: the header or a line is not what the source's format says, or a record
            belongs to another day or origin. The records before it were already yielded.
    """
    try:
        lines = file.open(encoding="utf-8", newline="")
    except FileNotFoundError:
        raise InputMissing(str(file)) from None
    with lines:
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, [])
            if header != HEADER:
                raise CorruptInput(str(file), 1, "the header of flights.csv", repr(header))
            for number, fields in enumerate(rows, start=1):
                record = parse(fields, number, str(file))
                if record.day.isoformat() != day or record.origin != origin:
                    came = f"{record.day.isoformat()} {record.origin}"
                    raise CorruptInput(str(file), number + 1, f"a flight of {day} {origin}", came)
                yield record
        except (csv.Error, UnicodeDecodeError) as error:
            # A decoder works in blocks, so the line may be a little before the bad byte.
            raise CorruptInput(str(file), rows.line_num + 1, "CSV text", str(error)) from error


def parse(fields: Sequence[str], number: int, file: str) -> Record:
    """Turn the fields of one line into a `Record`.

    Args:
        fields: Texts in the order of `HEADER`.
        number: Position among the records of its day and origin, from 1.
        file: Named in the complaint.

    Raises:
        CorruptInput: a wrong count of fields, or a field that is not what its column holds.
    """
    if len(fields) != len(HEADER):
        expected, came = f"{len(HEADER)} fields", f"{len(fields)} fields: {','.join(fields)!r}"
        raise CorruptInput(file, number + 1, expected, came)
    try:
        return _typed(fields, number)
    except ValueError as error:
        expected = "numbers, clock times and dates in their columns"
        raise CorruptInput(file, number + 1, expected, f"{error}: {','.join(fields)!r}") from error


def _typed(fields: Sequence[str], number: int) -> Record:
    """Convert each field; a ValueError names the first that cannot be."""
    year, month, day, departure, scheduled_departure, departure_delay = fields[:6]
    arrival, scheduled_arrival, arrival_delay, carrier, flight, tail_number = fields[6:12]
    origin, destination, air_time, distance, _hour, _minute, hour_utc = fields[12:]
    # A damaged hour would pass silently as "no weather known", so it is read once to be sure.
    datetime.fromisoformat(hour_utc)
    return Record(
        number=number,
        day=_day(year, month, day),
        departure_clock=_known_clock(departure),
        scheduled_departure_clock=_clock(scheduled_departure),
        departure_delay_min=_known_number(departure_delay),
        arrival_clock=_known_clock(arrival),
        scheduled_arrival_clock=_clock(scheduled_arrival),
        arrival_delay_min=_known_number(arrival_delay),
        carrier=carrier,
        flight=int(flight),
        tail_number=None if tail_number == "NA" else tail_number,
        origin=origin,
        destination=destination,
        air_time_min=_known_number(air_time),
        distance_mi=int(distance),
        scheduled_hour_utc=hour_utc,
    )


@lru_cache(maxsize=16)
def _day(year: str, month: str, day: str) -> date:
    """A date; cached because a file holds one day."""
    return date(int(year), int(month), int(day))


# Larger than the 1,441 clock times of a day, each of which occurs again and again.
@lru_cache(maxsize=2_048)
def _clock(text: str) -> int:
    """Minutes since midnight of a clock time such as 517, 2359 or 2400."""
    hours, minutes = divmod(int(text), 100)
    if not ((0 <= hours < 24 and minutes < 60) or (hours, minutes) == (24, 0)):
        raise ValueError(f"no clock time: {text!r}")
    return hours * 60 + minutes


def _known_clock(text: str) -> int | None:
    """A clock time, or None for NA."""
    return None if text == "NA" else _clock(text)


def _known_number(text: str) -> int | None:
    """A whole number, or None for NA."""
    return None if text == "NA" else int(text)
