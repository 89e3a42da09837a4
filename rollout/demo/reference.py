"""What a flight is joined with: airlines, airports, planes and the weather hour by hour.

Two ways to ask the same questions: `SqlReference` runs a query for each, as the legacy path does,
`MemoryReference` holds the tables in dictionaries. Both answer None for what nobody knows.
"""

import os
import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from rollout.demo.record import InputMissing
from rollout.demo.source import table_rows


class Plane(NamedTuple):
    """One aircraft; the year it was built is None for some."""

    model: str | None
    year: int | None
    seats: int | None


class Weather(NamedTuple):
    """One hour at one origin, in the units of the source: Fahrenheit, mph, inches, miles."""

    temperature_f: float | None
    wind_speed_mph: float | None
    precipitation_in: float | None
    visibility_mi: float | None


class Reference(Protocol):
    """Look-ups by key; None when the source does not know the key."""

    def airline(self, carrier: str) -> str | None:
        """Name of an airline by its two-letter code."""
        ...

    def airport(self, code: str) -> str | None:
        """Name of an airport by its FAA code."""
        ...

    def plane(self, tail_number: str | None) -> Plane | None:
        """The aircraft with this tail number; None also for a flight without one."""
        ...

    def weather(self, origin: str, hour_utc: str) -> Weather | None:
        """Weather at an origin in an hour such as 2013-01-01T10:00:00Z."""
        ...


class MemoryReference:
    """All reference tables in dictionaries: nothing but values, so safe in threads and forks."""

    def __init__(
        self,
        airlines: dict[str, str],
        airports: dict[str, str],
        planes: dict[str, Plane],
        weather: dict[tuple[str, str], Weather],
    ) -> None:
        self.airlines, self.airports, self.planes, self.hours = airlines, airports, planes, weather

    def airline(self, carrier: str) -> str | None:
        """Name of an airline."""
        return self.airlines.get(carrier)

    def airport(self, code: str) -> str | None:
        """Name of an airport."""
        return self.airports.get(code)

    def plane(self, tail_number: str | None) -> Plane | None:
        """The aircraft with this tail number."""
        return None if tail_number is None else self.planes.get(tail_number)

    def weather(self, origin: str, hour_utc: str) -> Weather | None:
        """Weather at an origin in an hour."""
        return self.hours.get((origin, hour_utc))


class SqlReference:
    """One query per look-up against `reference.db`; close it when done."""

    def __init__(self, file: Path) -> None:
        self.connection = open_reference(file)

    def airline(self, carrier: str) -> str | None:
        """Name of an airline."""
        return self._name("SELECT name FROM airline WHERE carrier = ?", carrier)

    def airport(self, code: str) -> str | None:
        """Name of an airport."""
        return self._name("SELECT name FROM airport WHERE code = ?", code)

    def plane(self, tail_number: str | None) -> Plane | None:
        """The aircraft with this tail number."""
        query = "SELECT model, year, seats FROM plane WHERE tail_number = ?"
        row = self.connection.execute(query, (tail_number,)).fetchone()
        return None if row is None else Plane(*row)

    def weather(self, origin: str, hour_utc: str) -> Weather | None:
        """Weather at an origin in an hour."""
        query = (
            "SELECT temperature_f, wind_speed_mph, precipitation_in, visibility_mi"
            " FROM weather WHERE origin = ? AND hour_utc = ?"
        )
        row = self.connection.execute(query, (origin, hour_utc)).fetchone()
        return None if row is None else Weather(*row)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _name(self, query: str, key: str) -> str | None:
        """The one text that a query finds."""
        row = self.connection.execute(query, (key,)).fetchone()
        return None if row is None else str(row[0])


def open_reference(file: Path) -> sqlite3.Connection:
    """Open `reference.db` for reading only.

    Raises:
        InputMissing: it is not there.
    """
    if not file.is_file():
        raise InputMissing(str(file))
    # Immutable: nobody writes it after `prepare`, and without that promise SQLite would lock and
    # unlock the file for each of a job's 1,200 queries.
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


def from_source(source: Path) -> MemoryReference:
    """Read the reference tables from the package's CSV files."""
    return MemoryReference(
        airlines={str(row["carrier"]): str(row["name"]) for row in table_rows(source, "airlines")},
        airports={str(row["faa"]): str(row["name"]) for row in table_rows(source, "airports")},
        planes={str(row["tailnum"]): _plane(row) for row in table_rows(source, "planes")},
        weather={
            (str(row["origin"]), str(row["time_hour"])): _weather(row)
            for row in table_rows(source, "weather")
        },
    )


def build_database(reference: MemoryReference, file: Path) -> None:
    """Write the reference tables into a new SQLite file, each with its key as primary key."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE airline (carrier TEXT PRIMARY KEY, name TEXT)")
        connection.execute("CREATE TABLE airport (code TEXT PRIMARY KEY, name TEXT)")
        connection.execute(
            "CREATE TABLE plane"
            " (tail_number TEXT PRIMARY KEY, model TEXT, year INTEGER, seats INTEGER)"
        )
        connection.execute(
            "CREATE TABLE weather (origin TEXT, hour_utc TEXT, temperature_f REAL,"
            " wind_speed_mph REAL, precipitation_in REAL, visibility_mi REAL,"
            " PRIMARY KEY (origin, hour_utc))"
        )
        insert = connection.executemany
        insert("INSERT INTO airline VALUES (?, ?)", reference.airlines.items())
        insert("INSERT INTO airport VALUES (?, ?)", reference.airports.items())
        planes = ((tail_number, *plane) for tail_number, plane in reference.planes.items())
        insert("INSERT INTO plane VALUES (?, ?, ?, ?)", planes)
        hours = ((*key, *hour) for key, hour in reference.hours.items())
        insert("INSERT INTO weather VALUES (?, ?, ?, ?, ?, ?)", hours)


def in_memory(file: Path) -> MemoryReference:
    """The tables of `reference.db`, read on the first call in each process and then kept."""
    return _loaded(os.getpid(), file)


# The pid is part of the key so that a forked worker reads its own copy instead of trusting
# whatever its parent had; one entry, because a worker serves one demo folder.
@lru_cache(maxsize=1)
def _loaded(_pid: int, file: Path) -> MemoryReference:
    """Read the four tables; the connection is closed before anything is returned."""
    with closing(open_reference(file)) as connection:
        read = connection.execute
        return MemoryReference(
            airlines=dict(read("SELECT carrier, name FROM airline")),
            airports=dict(read("SELECT code, name FROM airport")),
            planes={key: Plane(*rest) for key, *rest in read("SELECT * FROM plane")},
            weather={
                (origin, hour_utc): Weather(*rest)
                for origin, hour_utc, *rest in read("SELECT * FROM weather")
            },
        )


def _plane(row: dict[str, str | None]) -> Plane:
    """One line of planes.csv, typed."""
    year, seats = row["year"], row["seats"]
    return Plane(
        model=row["model"],
        year=None if year is None else int(year),
        seats=None if seats is None else int(seats),
    )


def _weather(row: dict[str, str | None]) -> Weather:
    """One line of weather.csv, typed."""
    texts = (row["temp"], row["wind_speed"], row["precip"], row["visib"])
    return Weather(*(None if text is None else float(text) for text in texts))
