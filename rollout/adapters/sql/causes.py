"""What an exception of the driver says about the ledger: away, busy, refusing, or a fault of ours.

Each cause has its sentence, because each has its own mending. All of them are a ledger that has not
recorded what it was to record, so `LedgerUnreachable` stands above them and jobs are treated alike.
"""

import re
import sqlite3
from typing import Any, NamedTuple

from sqlalchemy.exc import DBAPIError

from rollout.adapters.sql.waits import TIMED_OUT
from rollout.errors import (
    LedgerBusy,
    LedgerFault,
    LedgerMisaddressed,
    LedgerNotMigrated,
    LedgerRefuses,
    LedgerUnreachable,
)


class _Cause(NamedTuple):
    """A refusal: its SQL states, patterns of the words where a driver has none, what to say."""

    states: tuple[str, ...]
    words: tuple[str, ...]
    why: str
    todo: str


_RIGHTS = "docs/plants.md lists the rights it needs"
_REFUSALS = (
    _Cause(
        ("42501",),
        ("permission denied", "must be owner"),
        "its user may not do this",
        f"grant it: {_RIGHTS}",
    ),
    _Cause(
        ("53300",),
        (
            "too many clients",
            "too many connections",
            "connection slots are reserved",
            "no more connections allowed",
            "query_wait_timeout",
        ),
        "it has no connection left",
        "raise max_connections (pgbouncer: max_client_conn, default_pool_size), or end clients "
        "that keep theirs",
    ),
    _Cause(
        ("28P01", "28000"),
        (
            "authentication failed",
            "no pg_hba.conf entry",
            "no password supplied",
            'role ".*" does not exist',
        ),
        "it lets this user not in",
        "correct user and password in ROLLOUT_LEDGER_URL, or pg_hba.conf",
    ),
    _Cause(
        ("3D000",),
        ("no such database", 'database ".*" does not exist'),
        "there is no database of this name",
        "create it (`createdb --encoding UTF8 NAME`), or correct ROLLOUT_LEDGER_URL",
    ),
    _Cause(
        ("25006",),
        ("readonly database", "read-only transaction"),
        "it is read-only",
        "name the primary in ROLLOUT_LEDGER_URL; of a file, let this user write it and its folder",
    ),
    _Cause(
        ("25P03", "57P05"),
        ("idle-in-transaction timeout", "idle-session timeout"),
        "its time limit for idle sessions has ended this one",
        "raise idle_in_transaction_session_timeout of the role or the database: rollout sets 5 s "
        "with the first statement of each transaction",
    ),
    _Cause(
        (),
        ("server does not support SSL",),
        "it offers no TLS",
        "correct sslmode in ROLLOUT_LEDGER_URL, or turn TLS on at the server",
    ),
    _Cause(
        (),
        ("certificate verify failed", "does not match host name"),
        "its certificate is not trusted here",
        "name the file of its CA in ROLLOUT_LEDGER_URL: ?sslmode=verify-full&sslrootcert=FILE",
    ),
    _Cause(
        ("53100",),
        ("disk is full", "No space left on device"),
        "its disk is full",
        "make room where the database lies",
    ),
    _Cause(
        (),
        ("disk I/O error",),
        "its file cannot be read or written",
        "make room on its disk (SQLite says this of a full one, too), or look into the disk",
    ),
    _Cause(
        (),
        ("file is not a database", "database disk image is malformed"),
        "its file is none of SQLite's, or damaged",
        "name the right file in ROLLOUT_LEDGER_URL, or put the last good copy there",
    ),
    _Cause(
        (),
        ("statement pooling mode",),
        "its pooler lends a session for one statement only",
        "set pool_mode to transaction (or session) in pgbouncer",
    ),
)
_UNUSABLE = re.compile(
    "invalid connection option|invalid [a-z_]+ value|invalid integer value|definition of service"
    "|root certificate file .* does not exist"
)
"""Words of libpq's own, before it has asked any server."""
_POOLER_ALONE = re.compile("server login has been failing|cannot connect to server|server conn cra")
"""Words of pgbouncer's own while the database behind it is away; their SQL state is `_POOLERS`."""
_POOLERS = "08P01"
_STATEMENT_STATES = ("42", "26", "0A", _POOLERS)
"""Beginnings of SQL states by which the server has not taken a statement as it was sent."""


def ledger_error(url: str, error: DBAPIError) -> LedgerUnreachable:
    """The error that says what happened.

    Args:
        url: The ledger's address without password.
        error: What SQLAlchemy made of the driver's exception.
    """
    cause = error.orig if isinstance(error.orig, Exception) else error
    state = getattr(error.orig, "sqlstate", None) or ""
    words = str(cause)
    if state in ("42P01", "3F000") or "no such table" in words:
        return LedgerNotMigrated(url, None, "head")
    if _kept_waiting(error, state):
        return LedgerBusy(url, cause)
    if _POOLER_ALONE.search(words):
        return LedgerUnreachable(url, cause)
    if not state and _UNUSABLE.search(words):
        return LedgerMisaddressed(url, cause)
    by_words = state in ("", _POOLERS)
    for one in _REFUSALS:
        if state in one.states or (by_words and any(re.search(part, words) for part in one.words)):
            return LedgerRefuses(url, cause, one.why, one.todo)
    if state.startswith(_STATEMENT_STATES) or is_wrong_sql(error):
        return LedgerFault(url, cause)
    return LedgerUnreachable(url, cause)


def is_wrong_sql(error: DBAPIError) -> bool:
    """Whether SQLite reports a mistake in a statement, which it does as an OperationalError."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _kept_waiting(error: DBAPIError, state: str) -> bool:
    """Whether the database answers and only somebody else's lock is in the way."""
    if state in TIMED_OUT:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def as_sqlalchemy(error: Exception, dialect: Any, *, gone: bool = False) -> Exception:
    """The exception that SQLAlchemy would have made of the driver's; `gone` with its connection."""
    made: Exception = DBAPIError.instance(
        None,
        None,
        error,
        dialect.loaded_dbapi.Error,
        connection_invalidated=gone,
        dialect=dialect,
    )
    return made
