"""What every job passes, one statement each: file, claim, commit. No row means nothing is said.

A statement here changes a row only where `jobs.claims` grants it; whatever else there is to a job,
and every word of a refusal, is judged by the transactions in `job_rows.py`. A test holds these
conditions, and those of PostgreSQL's functions (migration 0016), against `judge_claim` and
`judge_commit` over all states of a row.
"""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    update,
)

from rollout.adapters.sql.control_rows import fence_key
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.driver import Statement
from rollout.adapters.sql.job_statements import NEW
from rollout.adapters.sql.lane_sessions import LaneSession
from rollout.adapters.sql.ledger_clock import NOW
from rollout.adapters.sql.single_writer import BUSY_PAUSE_S, BUSY_TIMEOUT_S
from rollout.adapters.sql.tables import job, sub_pipeline
from rollout.adapters.sql.waits import LOCAL_BOUNDS
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason

Values = Mapping[str, Any]
Granted = tuple[int, int, bool]
"""Attempt, fence revision, and whether the job had fallen back."""


class LaneStatements(Protocol):
    """The three on one kind of database; `fenced` asks whether a kill stands in the way."""

    def file(self, session: LaneSession, values: Values) -> bool:
        """Record an accepted job; `values` of `new_row`."""
        ...

    def claim(self, session: LaneSession, values: Values, *, fenced: bool) -> Granted | None:
        """Start a job that waits."""
        ...

    def commit(self, session: LaneSession, values: Values, *, fenced: bool) -> bool:
        """End a started job."""
        ...


def lane_statements(database: Database, *, own_clock: bool) -> LaneStatements:
    """Those of this database; `own_clock` hears of a start by its clock, else by the given time."""
    if database.is_postgresql:
        return PostgresqlStatements(database, own_clock=own_clock)
    return SqliteStatements(database, own_clock=own_clock)


_CONTROL = sub_pipeline.c.name == bindparam("b_name")
# The control row by subqueries, not by a join: then SQLite changes the row where it finds it.
_THIS = and_(
    job.c.name == bindparam("b_name"),
    job.c.job_id == bindparam("b_job_id"),
    exists().where(_CONTROL),
)
_WAITS_HERE = and_(
    job.c.path == JobPath.CONCURRENT,
    exists().where(_CONTROL, sub_pipeline.c.killed == false()),
)
_HELD = and_(
    job.c.state == JobState.STARTED,
    job.c.attempt == bindparam("b_attempt"),
    or_(job.c.nonce.is_(None), job.c.nonce == bindparam("b_nonce", type_=String)),
)
_UNFENCED = exists().where(
    _CONTROL,
    sub_pipeline.c.killed == false(),
    sub_pipeline.c.fence_revision == bindparam("b_fence"),
)
_COMMITTED = {
    "state": JobState.COMMITTED,
    "finished_at": bindparam("b_now"),
    "result": bindparam("b_result"),
    "way": job.c.way + bindparam("b_step"),
}


# A message on legacy of a job that waits on concurrent: the ledger refused its claim there.
_MOVED = case(
    (
        job.c.path != bindparam("b_path"),
        func.coalesce(job.c.moved_reason, literal(str(Reason.LEDGER_UNREACHABLE))),
    ),
    else_=job.c.moved_reason,
)


def _claim(heard: Any, *granted: ColumnElement[bool]) -> Any:
    return (
        update(job)
        .where(_THIS, job.c.state == JobState.ACCEPTED, *granted)
        .values(
            state=JobState.STARTED,
            path=bindparam("b_path"),
            moved_reason=_MOVED,
            attempt=job.c.attempt + 1,
            fence_revision=select(sub_pipeline.c.fence_revision).where(_CONTROL).scalar_subquery(),
            started_at=bindparam("b_now"),
            renewed_at=heard,
            worker=bindparam("b_worker"),
            nonce=bindparam("b_nonce"),
            way=job.c.way
            + bindparam("b_before")
            + cast(job.c.attempt + 1, String)
            + bindparam("b_after"),
        )
        # SQLite 3.40 answers 1 to `fallback_reason IS NOT NULL` here, whatever the column holds.
        .returning(job.c.attempt, job.c.fence_revision, job.c.fallback_reason)
    )


class SqliteStatements:
    """An UPDATE or INSERT each; the single writer is the fence."""

    def __init__(self, database: Database, *, own_clock: bool) -> None:
        dialect = database.lane.engine.dialect
        insert: Any = database.insert
        heard = NOW[dialect.name] if own_clock else bindparam("b_now")
        commit = update(job).where(_THIS, _HELD).values(_COMMITTED)
        self._file = Statement(insert(job).values(NEW).on_conflict_do_nothing(), dialect)
        self._claim = {
            False: Statement(_claim(heard), dialect),
            True: Statement(_claim(heard, _WAITS_HERE), dialect),
        }
        self._commit = {
            False: Statement(commit, dialect),
            True: Statement(commit.where(_UNFENCED), dialect),
        }

    def file(self, session: LaneSession, values: Values) -> bool:
        """See `LaneStatements`."""
        run_patiently(session.cursor, self._file, values)
        return bool(session.cursor.rowcount == 1)

    def claim(self, session: LaneSession, values: Values, *, fenced: bool) -> Granted | None:
        """See `LaneStatements`."""
        run_patiently(session.cursor, self._claim[fenced], values)
        rows = session.cursor.fetchall()  # all of them: the last ends the statement
        if not rows:
            return None
        ((attempt, fence_revision, fallback),) = rows
        return attempt, fence_revision, fallback is not None

    def commit(self, session: LaneSession, values: Values, *, fenced: bool) -> bool:
        """See `LaneStatements`."""
        run_patiently(session.cursor, self._commit[fenced], values)
        return bool(session.cursor.rowcount == 1)


def run_patiently(cursor: Any, statement: Statement, values: Values) -> None:
    """Execute on SQLite, and again while another one writes."""
    until = None
    while True:  # as `begin_immediate` waits, for the same reason
        try:
            statement.run(cursor, values)
            return
        except sqlite3.OperationalError as error:
            until = until or time.monotonic() + BUSY_TIMEOUT_S
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
        time.sleep(BUSY_PAUSE_S)


_FILE = (
    "rollout_file(%(b_job_id)s, %(b_name)s, %(b_key)s, %(b_path)s, %(b_reason)s, %(b_revision)s, "
    "%(b_at)s, %(b_not_before)s, %(b_envelope)s, %(b_way)s)"
)
_CLAIM = (
    "rollout_claim(%(b_name)s, %(b_job_id)s, %(b_path)s, %(b_worker)s, %(b_nonce)s, %(b_now)s, "
    "%(b_heard)s, %(b_before)s, %(b_after)s, %(b_fence_key)s)"
)
_COMMIT = (
    "rollout_commit(%(b_name)s, %(b_job_id)s, %(b_attempt)s, %(b_nonce)s, %(b_now)s, %(b_result)s, "
    "%(b_step)s, %(b_fence_key)s, %(b_fence)s)"
)
_LENT = f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; {LOCAL_BOUNDS}; "
"""What a session of our own has for good, in the message of one that a pooler lends."""


def send(session: LaneSession, words: str, values: Values) -> Any:
    """Carry out statements on PostgreSQL, one message and one transaction.

    Returns:
        The driver's cursor, at the answer to the last of them.
    """
    cursor = session.cursor
    cursor.execute(_LENT + words if session.lent else words, values)
    while cursor.nextset():
        pass
    return cursor


def called(session: LaneSession, call: str, values: Values) -> Any:
    """The one answer of a function of the ledger's."""
    ((answer,),) = send(session, call, values).fetchall()
    return answer


class PostgresqlStatements:
    """A call of a function each, which takes the fence, asks and changes (migration 0016)."""

    def __init__(self, database: Database, *, own_clock: bool) -> None:
        where = "" if database.schema is None else f'"{database.schema}".'
        self._file, self._claim, self._commit = (
            f"SELECT {where}{call}" for call in (_FILE, _CLAIM, _COMMIT)
        )
        self._own_clock = own_clock

    def file(self, session: LaneSession, values: Values) -> bool:
        """See `LaneStatements`."""
        return bool(called(session, self._file, values))

    def claim(self, session: LaneSession, values: Values, *, fenced: bool) -> Granted | None:
        """See `LaneStatements`."""
        given = {
            **values,
            "b_heard": None if self._own_clock else values["b_now"],
            "b_fence_key": fence_key(values["b_name"]) if fenced else None,
        }
        granted = called(session, self._claim, given)
        if granted is None:
            return None
        attempt, fence_revision, fell_back = granted
        return attempt, fence_revision, bool(fell_back)

    def commit(self, session: LaneSession, values: Values, *, fenced: bool) -> bool:
        """See `LaneStatements`."""
        given = {**values, "b_fence_key": fence_key(values["b_name"]) if fenced else None}
        return bool(called(session, self._commit, given))
