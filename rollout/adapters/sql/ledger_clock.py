"""The database's own clock, as microseconds since 1970: all workers' silence is measured by it.

Two machines' clocks need not agree, and the one that asks is not the one that was heard of. On
PostgreSQL it is the server's clock, on SQLite that of the one machine that has the file.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, literal_column

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import UtcTime, to_microseconds

_SQLITE = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_POSTGRESQL = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
_WORDS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
NOW: dict[str, ColumnElement[Any]] = {
    dialect: literal_column(words, BigInteger) for dialect, words in _WORDS.items()
}
"""By dialect. SQLite's is right to a few hundredths of a millisecond, PostgreSQL's exact."""


class LedgerClock:
    """What silence is measured by: the database's clock, or the times that callers give.

    Args:
        database: Whose clock.
        own: False goes by the callers' times, as a test with a clock set by hand must.
    """

    def __init__(self, database: Database, *, own: bool) -> None:
        self._words = _WORDS["postgresql" if database.is_postgresql else "sqlite"]
        self.own = own

    def at(self, given: datetime, after: timedelta = timedelta()) -> ColumnElement[Any]:
        """Now (or `after` from now) as a value to compare or to store."""
        if not self.own:
            return literal_column(str(to_microseconds(given + after)), UtcTime)
        shift = after // timedelta(microseconds=1)
        return literal_column(f"({self._words} + {shift})", UtcTime)
