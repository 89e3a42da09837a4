"""The demo's warehouse: one table beside the ledger, filled by the commit hook."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Column, Connection, Dialect, Double, Integer, MetaData, Table, Text, insert

from rollout.demo.transform import COLUMNS

_SQL_TYPES: dict[type, Any] = {str: Text(), int: Integer(), float: Double()}
# Byte order everywhere, so that two databases hand the keys out in the same order as Python.
_KEY = Text().with_variant(Text(collation="C"), "postgresql")

warehouse_flight = Table(
    "warehouse_flight",
    MetaData(),
    Column("record", _KEY, primary_key=True),
    *(Column(name, _SQL_TYPES[kind]) for name, kind in COLUMNS.items() if name != "record"),
)


class CommittingJob(Protocol):
    """What the commit hook needs of the job: the ledger's open transaction."""

    @property
    def connection(self) -> Connection:
        """The connection on which the ledger will commit."""
        ...


def create(connection: Connection) -> None:
    """Create the table unless it is there."""
    warehouse_flight.metadata.create_all(connection)


def write(rows: Sequence[Sequence[Any]], job: CommittingJob) -> int:
    """Insert a job's rows in the ledger's own transaction (the commit hook): exactly once.

    A plain INSERT on purpose: rows that are there already mean a double commit, and must be loud.

    Args:
        rows: As a path returns them, columns as in `transform.COLUMNS`.
        job: Carries the connection; neither committed nor rolled back here.

    Returns:
        The number of rows inserted.

    Raises:
        sqlalchemy.exc.IntegrityError: a row is in the warehouse already.
    """
    return insert_rows(rows, job.connection)


def insert_rows(rows: Sequence[Sequence[Any]], connection: Connection) -> int:
    """Insert rows with one executemany; return how many."""
    if rows:
        statement, positional = _insert_statement(connection.dialect)
        # Handed to the driver as they are: the columns hold plain text and numbers, and making
        # a checked dictionary of each row doubled the time that the commit holds its locks.
        values = [
            tuple(row) if positional else dict(zip(COLUMNS, row, strict=True)) for row in rows
        ]
        connection.exec_driver_sql(statement, values)
    return len(rows)


@lru_cache(maxsize=4)
def _insert_statement(dialect: Dialect) -> tuple[str, bool]:
    """The INSERT as the driver takes it, and whether it wants values by position."""
    compiled = insert(warehouse_flight).compile(dialect=dialect)
    return str(compiled), bool(getattr(compiled, "positional", False))
