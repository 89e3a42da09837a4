"""How long reads may take for those who look: bounded for them, and for nobody else.

Page and API read beside the jobs, on the same database. A question that turns out to be long must
end at the database too, not only be waited for no longer: PostgreSQL is given a
`statement_timeout`, SQLite a progress handler, both for what is left of the time.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from rollout.errors import LedgerSlow

_STEPS = 10_000
"""Of SQLite's virtual machine between two looks at the clock: about a tenth of a millisecond."""
_CANCELLED = "57014"

_until_s: ContextVar[float | None] = ContextVar("rollout_reads_until_s", default=None)


@contextmanager
def reads_within(seconds: float) -> Iterator[None]:
    """Bound what this thread reads in the block, all of it together; a bound around it holds, too.

    Raises:
        LedgerSlow: From the read during which the time was over.
    """
    around_s, until_s = _until_s.get(), time.monotonic() + seconds
    token = _until_s.set(until_s if around_s is None else min(until_s, around_s))
    try:
        yield
    finally:
        _until_s.reset(token)


@contextmanager
def bounded(connection: Connection, url: str, *, is_postgresql: bool) -> Iterator[None]:
    """Bound the statements of one reading transaction by what is left. Raises LedgerSlow."""
    until_s = _until_s.get()
    if until_s is None:
        yield
        return
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise LedgerSlow(url)
    interrupting = None if is_postgresql else connection.connection.driver_connection
    if interrupting is None:
        left_ms = max(1, round(left_s * 1000))
        connection.exec_driver_sql(f"SELECT set_config('statement_timeout', '{left_ms}', true)")
    else:
        interrupting.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    try:
        yield
    except DBAPIError as error:
        if _ran_out(error):
            raise LedgerSlow(url) from error
        raise
    finally:
        if interrupting is not None:
            interrupting.set_progress_handler(None, 0)


def _ran_out(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) == _CANCELLED:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_INTERRUPT
