"""The proof at the end of the demo: a plain sequential load, and a comparison row for row."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, create_engine, select

from rollout.demo.record import HEADER, CorruptInput, parse
from rollout.demo.reference import from_source
from rollout.demo.source import FLIGHTS, flight_lines, source_folder
from rollout.demo.transform import look_up, transform
from rollout.demo.warehouse import create, insert_rows, warehouse_flight

# Rows held in memory at a time, here and below; large enough that round trips do not count.
CHUNK_ROWS = 5_000

# Enough records to see a pattern, few enough to print.
EXAMPLES_MAX = 5


@dataclass(frozen=True)
class Comparison:
    """Result of comparing a warehouse with its reference, row for row.

    Attributes:
        rows_expected: Rows of the reference.
        rows_found: Rows of the warehouse.
        missing: Rows of the reference that the warehouse lacks.
        extra: Rows of the warehouse that the reference lacks.
        different: Rows that both have, with other values.
        examples: Up to five sentences, one per row that does not match.
    """

    rows_expected: int
    rows_found: int
    missing: int
    extra: int
    different: int
    examples: tuple[str, ...] = ()

    @property
    def matches(self) -> bool:
        """Whether both hold the same rows, and any at all."""
        return self.rows_expected > 0 and not (self.missing or self.extra or self.different)


def reference_load(url: str, source: Path | None = None) -> int:
    """Load the whole source into an empty warehouse, one record after the other.

    Goes straight from the package's files to the rows: no prepared folder, no batches handed
    between threads, no staging, so that a fault in any of these shows in the comparison.

    Args:
        url: SQLAlchemy URL of another database than the ledger's.
        source: Folder with the source's files; None takes the installed package.

    Returns:
        The number of rows inserted.

    Raises:
        SourceMissing: the data package is not installed.
        sqlalchemy.exc.IntegrityError: the database was not empty; nothing is left of this load.
    """
    engine = create_engine(url)
    loaded = 0
    try:
        with engine.begin() as connection:
            create(connection)
            rows = _rows_of_source(source or source_folder())
            while chunk := list(islice(rows, CHUNK_ROWS)):
                loaded += insert_rows(chunk, connection)
    finally:
        engine.dispose()
    return loaded


def compare(ledger_url: str, reference_url: str) -> Comparison:
    """Compare the warehouse beside the ledger with the reference, row for row, all columns.

    Args:
        ledger_url: Database with the warehouse that the demo's jobs filled.
        reference_url: Database that `reference_load` filled.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: a database does not answer or has no warehouse table.
    """
    found_engine, expected_engine = create_engine(ledger_url), create_engine(reference_url)
    try:
        with found_engine.connect() as found, expected_engine.connect() as expected:
            return _merge(_ordered(expected), _ordered(found))
    finally:
        found_engine.dispose()
        expected_engine.dispose()


def _rows_of_source(source: Path) -> Iterator[list[Any]]:
    """Each flight of the source as a warehouse row, in the source's order."""
    reference = from_source(source)
    numbers: Counter[tuple[str, ...]] = Counter()
    year, month, day, origin = map(HEADER.index, ("year", "month", "day", "origin"))
    with flight_lines(source) as lines:
        rows = csv.reader(lines)
        header = next(rows)
        if header != HEADER:
            raise CorruptInput(FLIGHTS, 1, "the known header", repr(header))
        for fields in rows:
            job = fields[year], fields[month], fields[day], fields[origin]
            numbers[job] += 1
            record = parse(fields, numbers[job], FLIGHTS)
            yield transform(record, look_up(record, reference))


def _ordered(connection: Connection) -> Iterator[Row[Any]]:
    """All rows of a warehouse by key, a chunk at a time."""
    query = select(warehouse_flight).order_by(warehouse_flight.c.record)
    streaming = connection.execution_options(yield_per=CHUNK_ROWS)
    return iter(streaming.execute(query))


def _merge(expected: Iterator[Row[Any]], found: Iterator[Row[Any]]) -> Comparison:
    """Walk two streams in key order side by side and count what does not match."""
    counts: Counter[str] = Counter()
    examples: list[str] = []
    ours, theirs = next(found, None), next(expected, None)
    while ours is not None or theirs is not None:
        verdict, record = _verdict(ours, theirs)
        counts[verdict] += 1
        if verdict != "equal" and len(examples) < EXAMPLES_MAX:
            examples.append(f"{record} is {verdict}")
        if verdict != "missing":
            ours = next(found, None)
        if verdict != "extra":
            theirs = next(expected, None)
    both = counts["equal"] + counts["different"]
    return Comparison(
        rows_expected=both + counts["missing"],
        rows_found=both + counts["extra"],
        missing=counts["missing"],
        extra=counts["extra"],
        different=counts["different"],
        examples=tuple(examples),
    )


def _verdict(ours: Row[Any] | None, theirs: Row[Any] | None) -> tuple[str, str]:
    """Say how the heads of both streams relate, and for which record."""
    if theirs is None or (ours is not None and ours[0] < theirs[0]):
        assert ours is not None  # the loop ends when both streams have
        return "extra", ours[0]
    if ours is None or theirs[0] < ours[0]:
        return "missing", theirs[0]
    return ("equal" if ours == theirs else "different"), ours[0]
