"""How long reads may take for those who look: bounded for them, and for nobody else.

Page and API read beside the jobs, on the same database. A question that turns out to be long must
end at the database too, not only be waited for no longer: PostgreSQL is given a
`statement_timeout`, SQLite a progress handler, both for what is left of the time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from rollout.errors import LedgerSlow

_STEPS = 10_000
"""Of SQLite's virtual machine between two looks at the clock: about a tenth of a millisecond."""
_CANCELLED = "57014"


@dataclass(slots=True)
class _Budget:
    """Seconds of reading that are left; `around` is the budget of the block outside."""

    own_s: float
    around: _Budget | None

    @property
    def left_s(self) -> float:
        return self.own_s if self.around is None else min(self.own_s, self.around.left_s)

    def spend(self, seconds: float) -> None:
        self.own_s -= seconds
        if self.around is not None:
            self.around.spend(seconds)


_budget: ContextVar[_Budget | None] = ContextVar("rollout_reads_budget", default=None)


@contextmanager
def reads_within(seconds: float) -> Iterator[None]:
    """Bound what this thread reads in the block, all of it together; a bound around it holds, too.

    Only reading counts: what is computed or imported in between is no fault of the ledger.

    Raises:
        LedgerSlow: From the read during which the time was over, and from those after it.
    """
    token = _budget.set(_Budget(seconds, _budget.get()))
    try:
        yield
    finally:
        _budget.reset(token)


@contextmanager
def bounded(connection: Connection, url: str, *, is_postgresql: bool) -> Iterator[None]:
    """Bound the statements of one reading transaction by what is left. Raises LedgerSlow."""
    budget = _budget.get()
    if budget is None:
        yield
        return
    left_s, began_s = budget.left_s, time.monotonic()
    if left_s <= 0:
        raise LedgerSlow(url)
    until_s = began_s + left_s
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
        budget.spend(time.monotonic() - began_s)
        if interrupting is not None:
            interrupting.set_progress_handler(None, 0)


def _ran_out(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) == _CANCELLED:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_INTERRUPT
