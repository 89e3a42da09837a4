"""What becomes of a job that is filed, on a database: moved, released, failed, renewed, read."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, null, or_, select, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.job_values import called_off, failed, moved, record_of
from rollout.adapters.sql.ledger_clock import LedgerClock
from rollout.adapters.sql.tables import job, tally
from rollout.adapters.sql.upserts import add_up
from rollout.errors import UnknownJob
from rollout.jobs.claims import UNCLAIMED, JobRecord, JobState, check_reopen
from rollout.jobs.ports import Filing, Handed, Running
from rollout.jobs.way import step
from rollout.routing.decision import JobPath, Reason

RECEIPTS_MAX = 500
"""Jobs in one transaction of a worker's receipt."""
RENEWED_MAX = 200
"""Starts in one statement: SQLite refuses a condition of a thousand parts, and two are told of each
job of a pool of threads or greenlets, which may have a thousand."""


class JobMoves:
    """The statements on a job's row that are not on every job's way.

    Args:
        own_clock: Measure silence by the database's clock; False goes by the callers' times.
    """

    def __init__(self, database: Database, *, own_clock: bool = True) -> None:
        self._db = database
        self._clock = LedgerClock(database, own=own_clock)

    def hand_over(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason,
        error: str | None,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Move an unfinished job to legacy; True when this call moved it, None when unfiled."""
        condition = (
            (job.c.state == JobState.ACCEPTED, job.c.path == JobPath.CONCURRENT)
            if attempt is None
            else (job.c.state == JobState.STARTED, _held(attempt, nonce))
        )
        died = int(reason is Reason.WORKER_LOST)
        values = moved(reason, error, now)
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(_is(name, job_id), *condition)
                .values(**values, deaths=job.c.deaths + died)
            )
            if done.rowcount == 1:
                return True
            return False if _is_filed(connection, name, job_id) else None

    def release(self, filing: Filing, attempt: int) -> bool | None:
        """Put a started job back to accepted for a retry, while this attempt holds it."""
        held: ColumnElement[bool] = and_(job.c.state == JobState.STARTED, job.c.attempt == attempt)
        if attempt == UNCLAIMED:
            held = job.c.state == JobState.ACCEPTED
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(_is(filing.name, filing.job_id), held)
                .values(
                    state=JobState.ACCEPTED,
                    path=filing.path,
                    revision=filing.revision,
                    envelope=filing.envelope,
                    sent_at=filing.at,
                    renewed_at=None,
                    not_before=filing.not_before,
                    way=job.c.way
                    + step(filing.at, "retry", path=filing.path, reason=filing.reason),
                )
            )
            if done.rowcount == 1:
                return True
            return False if _is_filed(connection, filing.name, filing.job_id) else None

    def fail(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        reason: Reason | None,
        error: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool | None:
        """Record the outcome failed; with `attempt`, only while that attempt holds the job."""
        unfinished = job.c.state.in_([JobState.ACCEPTED, JobState.STARTED])
        condition = unfinished if attempt is None else _held(attempt, nonce)
        with self._db.write() as connection:
            done = connection.execute(
                update(job)
                .where(_is(name, job_id), unfinished, condition)
                .values(**failed(reason, error, now))
            )
            if done.rowcount == 1:
                return True
            return False if _is_filed(connection, name, job_id) else None

    def call_off(
        self,
        name: str,
        job_id: str,
        attempt: int | None,
        state: JobState,
        sentence: str,
        now: datetime,
        *,
        nonce: str | None = None,
    ) -> bool:
        """Record that the job's owner ended it, counted in the tallies."""
        unfinished = job.c.state.in_([JobState.ACCEPTED, JobState.STARTED])
        condition = unfinished if attempt is None else _held(attempt, nonce)
        why = func.coalesce(job.c.fallback_reason, job.c.moved_reason, job.c.reason)
        with self._db.write() as connection:
            row = connection.execute(
                update(job)
                .where(_is(name, job_id), unfinished, condition)
                .values(**called_off(state, sentence, now))
                .returning(job.c.name, job.c.assigned_path, job.c.path, why)
            ).first()
            if row is not None:
                keys = ("name", "assigned_path", "path", "reason")
                counted = dict(zip(keys, row, strict=True)) | {"outcome": str(state), "jobs": 1}
                add_up(connection, self._db.insert, tally, [counted])
            return row is not None

    def reopen(self, name: str, job_id: str, now: datetime) -> Handed:
        """Put a failed job back to accepted on legacy."""
        with self._db.write() as connection:
            query = select(job.c.state).where(_is(name, job_id)).with_for_update()
            state = connection.execute(query).scalar_one_or_none()
            if state is None:
                raise UnknownJob(job_id)
            check_reopen(job_id, JobState(state))
            _uncount(connection, name, job_id)
            row = connection.execute(
                update(job)
                .where(_is(name, job_id), job.c.state == JobState.FAILED)
                .values(
                    **{**moved(Reason.RETRIED_BY_HAND, None, now), "error": null()},
                    deaths=0,
                    finished_at=null(),
                    folded=False,
                )
                .returning(job.c.job_id, job.c.name, job.c.envelope)
            ).one()
        return Handed(row.job_id, row.name, row.envelope, Reason.RETRIED_BY_HAND)

    def renew(self, running: Sequence[Running], now: datetime) -> None:
        """Say that the workers of these started jobs live, for those that still have their job."""
        for begin in range(0, len(running), RENEWED_MAX):
            self._renew(running[begin : begin + RENEWED_MAX], now)

    def _renew(self, running: Sequence[Running], now: datetime) -> None:
        heard = self._clock.at(now)
        mine = or_(
            *(
                and_(_is(one.name, one.job_id), job.c.worker == one.worker, job.c.path == one.path)
                for one in running
            )
        )
        with self._db.write() as connection:
            connection.execute(
                update(job)
                .where(
                    mine,
                    job.c.state == JobState.STARTED,
                    or_(job.c.renewed_at.is_(None), job.c.renewed_at < heard),
                )
                .values(renewed_at=heard)
            )

    def note_fetched(self, name: str, path: JobPath, job_ids: Sequence[str], now: datetime) -> None:
        """Note when a live worker last had these messages of waiting jobs in its hands."""
        here = and_(job.c.name == name, job.c.path == path, job.c.state == JobState.ACCEPTED)
        for begin in range(0, len(job_ids), RECEIPTS_MAX):
            some = job.c.job_id.in_(job_ids[begin : begin + RECEIPTS_MAX])
            with self._db.write() as connection:
                connection.execute(
                    update(job).where(some, here).values(renewed_at=self._clock.at(now))
                )

    def job(self, name: str, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob."""
        with self._db.read() as connection:
            row = connection.execute(select(job).where(_is(name, job_id))).mappings().first()
        if row is None:
            raise UnknownJob(job_id)
        return record_of(row)

    def jobs_of(self, job_id: str) -> list[JobRecord]:
        """Read the jobs of this id in all sub-pipelines, by name. Raises UnknownJob for none."""
        query = select(job).where(job.c.job_id == job_id).order_by(job.c.name)
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
        if not rows:
            raise UnknownJob(job_id)
        return [record_of(row) for row in rows]

    def failed(self, name: str | None, limit: int) -> list[JobRecord]:
        """List kept failures, newest first."""
        query = select(job).where(job.c.state == JobState.FAILED)
        if name is not None:
            query = query.where(job.c.name == name)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(job.c.finished_at.desc()).limit(limit))
            return [record_of(row) for row in rows.mappings()]


def _is(name: str, job_id: str) -> ColumnElement[bool]:
    return and_(job.c.name == name, job.c.job_id == job_id)


def _held(attempt: int, nonce: str | None) -> ColumnElement[bool]:
    number = job.c.attempt == attempt
    return number if nonce is None else and_(number, job.c.nonce == nonce)


def _is_filed(connection: Connection, name: str, job_id: str) -> bool:
    return connection.execute(select(job.c.job_id).where(_is(name, job_id))).first() is not None


def _uncount(connection: Connection, name: str, job_id: str) -> None:
    """Take a failure that was folded out of the tallies: the job will be counted again.

    The row is locked before it is asked whether it was folded, so that the fold comes before or
    after, never in between.
    """
    row = connection.execute(
        select(
            job.c.name,
            job.c.assigned_path,
            job.c.path,
            job.c.folded,
            func.coalesce(job.c.fallback_reason, job.c.moved_reason, job.c.reason).label("why"),
        )
        .where(_is(name, job_id), job.c.state == JobState.FAILED)
        .with_for_update()
    ).first()
    if row is not None and row.folded:
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
