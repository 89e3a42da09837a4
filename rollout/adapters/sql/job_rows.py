"""One job's way, on a database: file, claim, commit, hand over, fail."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any, get_args, get_type_hints

from sqlalchemy import Connection, String, bindparam, func, null, select, update
from sqlalchemy.exc import OperationalError

from rollout.adapters.sql.control_rows import FENCE_SHARED, fence_key
from rollout.adapters.sql.database import Database, is_wrong_sql
from rollout.adapters.sql.driver import LazyTransaction, RowReader, Statement
from rollout.adapters.sql.job_values import (
    RECORD_FIELDS,
    claim_of,
    commit_values,
    failed,
    moved,
    new_row,
    record_of,
    start_values,
)
from rollout.adapters.sql.tables import job, sub_pipeline, tally
from rollout.errors import IllegalTransition, LedgerUnreachable, UnknownJob
from rollout.jobs.claims import Claim, JobRecord, JobState, Refusal, judge_claim, judge_commit
from rollout.jobs.ports import Committed, ConnectionSource, Filing, Handed, Refused
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.stages import ControlState

_HEAVY = ("way", "envelope")  # the last two fields; judging a job does without them
_LIGHT = tuple(job.c[name] for name in RECORD_FIELDS if name not in _HEAVY)
_CONTROL = tuple(sub_pipeline.c[field.name] for field in fields(ControlState))
_JUDGED = (
    select(*_LIGHT, *_CONTROL)
    .join(sub_pipeline, sub_pipeline.c.name == job.c.name)
    .where(job.c.job_id == bindparam("b_job_id"))
    .with_for_update(of=job)
)
_WORDS = {
    name: word
    for record in (JobRecord, ControlState)
    for name, hint in get_type_hints(record).items()
    for word in (hint, *get_args(hint))
    if isinstance(word, type) and issubclass(word, Enum)
}
_JUDGED_ROW = RowReader([*_LIGHT, *_CONTROL], _WORDS)
_MINE = (job.c.job_id == bindparam("b_job_id"), job.c.attempt == bindparam("b_attempt"))
_START = (
    update(job)
    .where(job.c.job_id == bindparam("b_job_id"))
    .values(
        state=JobState.STARTED,
        path=bindparam("b_path"),
        attempt=bindparam("b_attempt"),
        fence_revision=bindparam("b_fence"),
        fallback_reason=func.coalesce(bindparam("b_fallback", type_=String), job.c.fallback_reason),
        deaths=bindparam("b_deaths"),
        started_at=bindparam("b_now"),
        renewed_at=bindparam("b_now"),
        worker=bindparam("b_worker"),
        way=job.c.way + bindparam("b_step"),
    )
)
_COMMIT = (
    update(job)
    .where(*_MINE)
    .values(
        state=JobState.COMMITTED,
        finished_at=bindparam("b_now"),
        result=bindparam("b_result"),
        way=job.c.way + bindparam("b_step"),
    )
)
_NO_WAIT_FOR_DISK = func.set_config("synchronous_commit", "off", True)
"""SET LOCAL as a column, so that it costs no round trip of its own."""
_NEW = {
    "job_id": bindparam("b_job_id"),
    "name": bindparam("b_name"),
    "key": bindparam("b_key"),
    "state": JobState.ACCEPTED,
    "assigned_path": bindparam("b_path"),
    "path": bindparam("b_path"),
    "reason": bindparam("b_reason"),
    "revision": bindparam("b_revision"),
    "attempt": 0,
    "fence_revision": 0,
    "deaths": 0,
    "accepted_at": bindparam("b_at"),
    "sent_at": bindparam("b_at"),
    "not_before": bindparam("b_not_before"),
    "folded": False,
    "way": bindparam("b_way"),
    "envelope": bindparam("b_envelope"),
}


class _Hot:
    """The statements that every job passes."""

    def __init__(self, database: Database) -> None:
        dialect = database.engine.dialect
        insert: Any = database.insert
        file = insert(job).values(_NEW).on_conflict_do_nothing(index_elements=["job_id"])
        hurried = _JUDGED.add_columns(_NO_WAIT_FOR_DISK) if database.is_postgresql else _JUDGED
        self.file = Statement(file, dialect)
        self.judged = Statement(_JUDGED, dialect)
        self.judged_without_waiting = Statement(hurried, dialect)
        self.start = Statement(_START, dialect)
        self.commit = Statement(_COMMIT, dialect)
        self.fence_shared = Statement(FENCE_SHARED, dialect)


class HookFailed(Exception):
    """Carries an exception of the user's commit hook out of the transaction."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(str(error))


class JobRows:
    """The half of the ledger that holds jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @cached_property
    def _hot(self) -> "_Hot":
        """The statements of every job, compiled at the first one: declaring needs no driver."""
        return _Hot(self._db)

    def file(self, filings: Sequence[Filing]) -> None:
        """Record accepted jobs in one transaction; a job id already there is left as it is."""
        with self._db.translated(), LazyTransaction(self._db) as transaction:
            cursor = transaction.cursor()
            if len(filings) == 1:
                self._hot.file.run(cursor, new_row(filings[0]))
            else:
                self._hot.file.run_many(cursor, [new_row(filing) for filing in filings])
            transaction.commit()

    def claim(
        self,
        name: str,
        job_id: str,
        delivered: JobPath,
        effects: Effects,
        worker: str,
        now: datetime,
        silent_after: timedelta,
    ) -> Claim | Refused:
        """Claim a delivered job, or say why not (`jobs.claims.judge_claim`)."""
        with self._db.translated(), LazyTransaction(self._db) as transaction:
            cursor = transaction.cursor()
            if delivered is JobPath.CONCURRENT:
                self._share_fence(cursor, name)
            # A claim that a database crash forgets can only be refused later: the commit compares
            # attempt and fence, and commits do wait for the disk. An unsafe job must not be
            # started a second time either.
            hot = self._hot
            judge = hot.judged_without_waiting if effects.repeatable else hot.judged
            judged = _judged(cursor, judge, job_id)
            if judged is None:
                return Refused(Refusal.UNFILED, None)
            record, control = judged
            refusal = judge_claim(record, delivered, control, effects, now, silent_after)
            if refusal is not None:
                return Refused(refusal, record)
            claim = claim_of(record, delivered, control)
            self._hot.start.run(cursor, start_values(claim, record, worker, now))
            transaction.commit()
            return claim

    def commit(
        self,
        claim: Claim,
        effects: Effects,
        write: Callable[[ConnectionSource], str],
        now: datetime,
    ) -> Committed | Refusal:
        """Run the hook's writes and the fence check in one transaction."""
        try:
            with self._db.translated(), LazyTransaction(self._db) as transaction:
                result = self._write(transaction, write)
                cursor = transaction.cursor()
                transaction.settle()
                if claim.path is JobPath.CONCURRENT:
                    self._share_fence(cursor, claim.name)
                judged = _judged(cursor, self._hot.judged, claim.job_id)
                refusal = (
                    Refusal.STALE
                    if judged is None
                    else judge_commit(judged[0], claim, judged[1], effects)
                )
                if refusal is Refusal.FINISHED and judged is not None:
                    return Committed(judged[0].result or "null")
                if refusal is not None:
                    return refusal
                self._hot.commit.run(cursor, commit_values(claim, result, now))
                transaction.commit()
                return Committed(result)
        except HookFailed as failure:
            raise failure.error from None

    def _share_fence(self, cursor: Any, name: str) -> None:
        """Keep a kill waiting until this transaction ends, or wait for one that is under way.

        A statement of its own, on PostgreSQL: a statement sees the rows as they were when it
        began, so one that took the lock and read the control row would miss the kill it waited
        for.
        """
        if self._db.is_postgresql:
            self._hot.fence_shared.run(cursor, {"key": fence_key(name)})

    def _write(self, transaction: LazyTransaction, write: Callable[[ConnectionSource], str]) -> str:
        """Call the hook; tell its own errors from those of the ledger's connection."""
        try:
            return write(transaction.connection)
        except LedgerUnreachable:
            raise
        except Exception as error:
            if transaction.broken or _sqlite_gave_up(transaction, error):
                raise LedgerUnreachable(self._db.url, error) from error
            raise HookFailed(error) from error

    def hand_over(
        self,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it, None when unfiled."""
        held = (
            (job.c.state == JobState.ACCEPTED, job.c.path == JobPath.CONCURRENT)
            if attempt is None
            else (job.c.state == JobState.STARTED, job.c.attempt == attempt)
        )
        died = int(reason is Reason.WORKER_LOST)
        values = moved(reason, error, now)
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(job.c.job_id == job_id, *held)
                .values(**values, deaths=job.c.deaths + died)
            )
            if done.rowcount == 1:
                return True
            filed = connection.execute(select(job.c.job_id).where(job.c.job_id == job_id)).first()
            return None if filed is None else False

    def release(self, filing: Filing, attempt: int) -> bool:
        """Put a started job back to accepted for a retry, while this attempt holds it."""
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(
                    job.c.job_id == filing.job_id,
                    job.c.state == JobState.STARTED,
                    job.c.attempt == attempt,
                )
                .values(
                    state=JobState.ACCEPTED,
                    path=filing.path,
                    revision=filing.revision,
                    envelope=filing.envelope,
                    sent_at=filing.at,
                    not_before=filing.not_before,
                    way=job.c.way
                    + step(filing.at, "retry", path=filing.path, reason=filing.reason),
                )
            )
            return done.rowcount == 1

    def fail(
        self, job_id: str, attempt: int | None, reason: Reason | None, error: str, now: datetime
    ) -> bool:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job."""
        unfinished = job.c.state.in_([JobState.ACCEPTED, JobState.STARTED])
        held = unfinished if attempt is None else job.c.attempt == attempt
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(job.c.job_id == job_id, unfinished, held)
                .values(**failed(reason, error, now))
            )
            return done.rowcount == 1

    def reopen(self, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy."""
        with self._db.write() as connection:
            _uncount(connection, job_id)
            row = connection.execute(
                update(job)
                .where(job.c.job_id == job_id, job.c.state == JobState.FAILED)
                .values(
                    **{**moved(Reason.RETRIED_BY_HAND, None, now), "error": null()},
                    deaths=0,
                    finished_at=null(),
                    folded=False,
                )
                .returning(job.c.job_id, job.c.name, job.c.envelope)
            ).first()
        if row is None:
            state = self.job(job_id).state
            raise IllegalTransition(
                job_id, "retry", f"while it is {state}", "only a failed job can be retried"
            )
        return Handed(row.job_id, row.name, row.envelope, Reason.RETRIED_BY_HAND)

    def renew(self, job_ids: Sequence[str], now: datetime) -> None:
        """Say that the workers of these started jobs live."""
        if not job_ids:
            return
        with self._db.write() as connection:
            connection.execute(
                update(job)
                .where(job.c.job_id.in_(list(job_ids)), job.c.state == JobState.STARTED)
                .values(renewed_at=now)
            )

    def job(self, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        with self._db.read() as connection:
            row = connection.execute(select(job).where(job.c.job_id == job_id)).mappings().first()
        if row is None:
            raise UnknownJob(job_id)
        return record_of(row)

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        query = select(job).where(job.c.state == JobState.FAILED)
        if name is not None:
            query = query.where(job.c.name == name)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(job.c.finished_at.desc()).limit(limit))
            return [record_of(row) for row in rows.mappings()]


def _sqlite_gave_up(transaction: LazyTransaction, error: Exception) -> bool:
    """Whether a hook met a locked, full or broken SQLite; wrong SQL is the hook's own mistake."""
    return (
        transaction.begun
        and isinstance(error, OperationalError)
        and isinstance(error.orig, sqlite3.Error)
        and not is_wrong_sql(error)
    )


def _uncount(connection: Connection, job_id: str) -> None:
    """Take a failure that was folded out of the tallies: the job will be counted again."""
    row = connection.execute(
        select(
            job.c.name,
            job.c.assigned_path,
            job.c.path,
            func.coalesce(job.c.fallback_reason, job.c.moved_reason, job.c.reason).label("why"),
        )
        .where(job.c.job_id == job_id, job.c.state == JobState.FAILED, job.c.folded)
        .with_for_update()
    ).first()
    if row is not None:
        connection.execute(
            update(tally)
            .where(
                tally.c.name == row.name,
                tally.c.assigned_path == row.assigned_path,
                tally.c.path == row.path,
                tally.c.outcome == JobState.FAILED,
                tally.c.reason == row.why,
            )
            .values(jobs=tally.c.jobs - 1)
        )


def _judged(
    cursor: Any, statement: Statement, job_id: str
) -> tuple[JobRecord, ControlState] | None:
    statement.run(cursor, {"b_job_id": job_id})
    row = cursor.fetchone()
    if row is None:
        return None
    values = _JUDGED_ROW.read(row)
    light = len(_LIGHT)
    return JobRecord(*values[:light]), ControlState(*values[light : light + len(_CONTROL)])
