"""What `rollout demo execution` runs: flights in batches of 500, from the source to a warehouse.

Reading, parsing, joining and inserting are real. The article's 45 minutes for 200,000 records are
mostly waiting for a source and a warehouse, which nobody has on one machine: each batch waits as
long as makes it take the article's time (6.75 s) at a small scale, in the proportions 5 : 2.5 : 15.
"""

import csv
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from rollout.demo.record import HEADER, Record, parse
from rollout.demo.reference import MemoryReference, from_source
from rollout.demo.source import FLIGHTS, flight_lines, source_folder
from rollout.demo.transform import COLUMNS, look_up, transform
from rollout.demo.warehouse import create, warehouse_flight

BATCH = 500
ARTICLE_BATCH_S = 45 * 60 / (200_000 / BATCH)
PROPORTIONS = (5.0, 2.5, 15.0)
WORK_S = (0.0047, 0.0054, 0.0040)
"""Seconds that reading, joining and inserting 500 flights take on the machine of the figures."""

INGEST_WORKERS, TRANSFORM_WORKERS, LOAD_WORKERS = 1, 2, 4
"""The source gives one batch at a time; the warehouse takes four."""

Line = tuple[list[str], int]
"""Fields of one flight, and its number among those of its day and origin."""

Row = list[Any]
_INSERT = "INSERT INTO {} ({}) VALUES ({})".format(
    warehouse_flight.name,
    ", ".join(warehouse_flight.columns.keys()),
    ", ".join("?" for _ in COLUMNS),
)


def lines(records: int) -> Iterator[Line]:
    """The first flights of the source."""
    numbers: Counter[tuple[str, ...]] = Counter()
    year, month, day, origin = map(HEADER.index, ("year", "month", "day", "origin"))
    with flight_lines(source_folder()) as raw:
        next(raw)
        for fields in islice(csv.reader(raw), records):
            job = fields[year], fields[month], fields[day], fields[origin]
            numbers[job] += 1
            yield fields, numbers[job]


@cache
def reference() -> MemoryReference:
    """The tables that flights are joined with."""
    return from_source(source_folder())


@dataclass(frozen=True)
class Work:
    """The three stages, at a scale of the article's time."""

    scale: float

    def _wait(self, stage: int, records: int) -> None:
        whole_s = ARTICLE_BATCH_S * self.scale * PROPORTIONS[stage] / sum(PROPORTIONS)
        time.sleep(max(0.0, whole_s - WORK_S[stage]) * records / BATCH)

    def ingest(self, batch: Sequence[Line]) -> list[Record]:
        """Wait for the source, and read its records."""
        self._wait(0, len(batch))
        return [parse(fields, number, FLIGHTS) for fields, number in batch]

    def join(self, batch: Sequence[Record]) -> list[Row]:
        """Make warehouse rows."""
        self._wait(1, len(batch))
        return [transform(record, look_up(record, reference())) for record in batch]

    def load(self, batch: list[Row]) -> list[Row]:
        """Send rows to the warehouse and wait for its answer; only `insert` puts them in it."""
        self._wait(2, len(batch))
        return batch


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert rows; whoever owns the transaction commits."""
    connection.executemany(_INSERT, rows)


def empty_warehouse(file: Path) -> None:
    """Make a warehouse; one that is there is removed."""
    file.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        create(connection)
    engine.dispose()


def digest(file: Path) -> str:
    """One text for all rows, whatever order they came in."""
    digest = sha256()
    with closing(sqlite3.connect(file)) as connection:
        query = f"SELECT * FROM {warehouse_flight.name} ORDER BY record"
        for row in connection.execute(query):
            digest.update(repr(row).encode())
    return digest.hexdigest()
