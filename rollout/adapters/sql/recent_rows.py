"""What has happened to jobs lately, on a database."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.job_values import record_of
from rollout.adapters.sql.tables import (
    FAILED,
    FELL_BACK,
    OPEN,
    from_microseconds,
    job,
    sub_pipeline,
)
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.recent import KEYS_BACK, Came, JobKind, PacedJob, RecentCount
from rollout.routing.decision import JobPath

_SHOWN = [column for column in job.c if column.name != "envelope"]

_FELL_BACK = job.c.fallback_reason.is_not(None)
_FAILED = job.c.state == str(JobState.FAILED)
_LAST = "\U0010ffff"
"""After every id that begins with the same text, where texts are ordered by their characters."""
_OPEN = job.c.state.in_([str(JobState.ACCEPTED), str(JobState.STARTED)])

_CAME = case(
    (_FAILED, str(Came.FAILED)),
    (_FELL_BACK, str(Came.FELL_BACK)),
    (_OPEN, str(Came.OPEN)),
    else_=str(Came.COMMITTED),
)

_HURT = (JobKind.FAILED, JobKind.FALLBACKS)
# To the letter as the partial indexes have them, which SQLite uses for nothing else.
_KINDS: dict[JobKind, ColumnElement[bool] | TextClause] = {
    JobKind.FAILED: FAILED,
    JobKind.FALLBACKS: FELL_BACK,
    JobKind.RUNNING: and_(OPEN, job.c.state == str(JobState.STARTED)),
    JobKind.WAITING: and_(OPEN, job.c.state == str(JobState.ACCEPTED)),
}


_ADMITTED = job.c.accepted_at
_UNINDEXED = literal_column("+job.accepted_at", _ADMITTED.type)
"""The same time for SQLite. Its planner knows no sizes, and by this time it would read all that a
sub-pipeline ever admitted, where the index of the few has the name as well."""


class RecentRows:
    """The part of the ledger that says what has happened lately."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def recent_counts(self, since: datetime, name: str | None = None) -> Sequence[RecentCount]:
        """Count jobs admitted since then; each sub-pipeline's by the index of its admissions."""
        drilled = job.c.drill.is_not(None)
        # By the name in the other table: SQLite would read all jobs in the order of theirs.
        keys = (
            sub_pipeline.c.name,
            job.c.assigned_path,
            _CAME.label("came"),
            drilled.label("drilled"),
        )
        query = (
            select(*keys, func.count(), func.min(job.c.accepted_at), func.max(job.c.accepted_at))
            .select_from(
                sub_pipeline.join(
                    job, and_(job.c.name == sub_pipeline.c.name, job.c.accepted_at >= since)
                )
            )
            .group_by(*keys)
        )
        if name is not None:
            query = query.where(sub_pipeline.c.name == name)
        with self._db.read() as connection:
            return [
                RecentCount(whose, JobPath(path), Came(came), bool(hurt), jobs, first, last)
                for whose, path, came, hurt, jobs, first, last in connection.execute(query)
            ]

    def ids_like(self, beginning: str, limit: int, name: str | None = None) -> list[str]:
        """Ids of jobs that begin so, in order."""
        query = select(job.c.job_id).where(job.c.job_id.startswith(beginning, autoescape=True))
        if name is not None:
            query = query.where(job.c.name == name)
        if not self._db.is_postgresql:
            # LIKE folds cases there and uses no index. PostgreSQL orders texts by its locale, in
            # which there is no such range; it reads the ids alone, from the index.
            query = query.where(job.c.job_id >= beginning, job.c.job_id <= beginning + _LAST)
        with self._db.read() as connection:
            return list(
                connection.execute(query.distinct().order_by(job.c.job_id).limit(limit)).scalars()
            )

    def paced_jobs(self, name: str, since: datetime | None, limit: int) -> list[PacedJob]:
        """Read how long the newest jobs took; by the index of admissions."""
        at = type_coerce(job.c.accepted_at, BigInteger)
        took_us = type_coerce(job.c.finished_at, BigInteger) - at
        query = select(
            at, took_us, job.c.assigned_path == str(JobPath.LEGACY), or_(_FAILED, _FELL_BACK)
        ).where(job.c.name == name, job.c.drill.is_(None))
        if since is not None:
            query = query.where(job.c.accepted_at >= since)
        query = query.order_by(job.c.accepted_at.desc()).limit(limit)
        paths = (JobPath.CONCURRENT, JobPath.LEGACY)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return [
            PacedJob(
                from_microseconds(at_us),
                paths[legacy],
                bool(hurt),
                None if took is None else took / 1e6,
            )
            for at_us, took, legacy, hurt in rows
        ]

    def jobs_with_key(self, name: str, key: str, limit: int) -> list[JobRecord]:
        """Read jobs with this routing key among the newest; keys have no index of their own."""
        newest = (
            select(job.c.job_id)
            .where(job.c.name == name)
            .order_by(job.c.accepted_at.desc())
            .limit(KEYS_BACK)
            .subquery()
        )
        query = (
            select(*_SHOWN)
            .where(job.c.name == name, job.c.key == key, job.c.job_id.in_(select(newest.c.job_id)))
            .order_by(job.c.accepted_at.desc(), job.c.job_id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return [record_of(row) for row in connection.execute(query).mappings()]

    def recent_jobs(
        self,
        name: str | None,
        kind: JobKind,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, str] | None = None,
    ) -> list[JobRecord]:
        """Read jobs of one kind, newest admission first, without their messages."""
        values: dict[str, Any] = {"b_limit": limit}
        if name is not None:
            values["b_name"] = name
        if since is not None:
            values["b_since"] = since
        if before is not None:
            values["b_at"], values["b_id"] = before
        kinds = _HURT if kind is JobKind.HURT else (kind,)  # each by its own index
        with self._db.read() as connection:
            records = [
                record_of(row)
                for one in kinds
                for row in connection.execute(self._newest(one, *values), values).mappings()
            ]
        if len(kinds) == 1:
            return records
        newest = sorted({one.ref: one for one in records}.values(), key=lambda one: one.job_id)
        newest.sort(key=lambda one: one.accepted_at, reverse=True)
        return newest[:limit]

    def _newest(self, kind: JobKind, *given: str) -> Select[Any]:
        misled = "b_name" in given and not self._db.is_postgresql
        since_by = _UNINDEXED if misled and kind is not JobKind.FAILED else _ADMITTED
        order_by = _UNINDEXED if misled and kind not in _HURT else _ADMITTED
        return _newest(kind, since_by, order_by, *given)


@cache
def _newest(
    kind: JobKind, since_by: ColumnElement[Any], order_by: ColumnElement[Any], *given: str
) -> Select[Any]:
    """The newest jobs of a kind, in order; made once, which takes longer than its execution."""
    query = select(*_SHOWN).where(_KINDS[kind])
    if "b_name" in given:
        query = query.where(job.c.name == bindparam("b_name"))
    if "b_since" in given:
        query = query.where(since_by >= bindparam("b_since"))
    if "b_at" in given:
        at: BindParameter[datetime] = bindparam("b_at")
        job_id: BindParameter[str] = bindparam("b_id")
        tied = and_(job.c.accepted_at == at, job.c.job_id > job_id)
        query = query.where(job.c.accepted_at <= at, or_(job.c.accepted_at < at, tied))
    return query.order_by(order_by.desc(), job.c.job_id).limit(bindparam("b_limit"))
