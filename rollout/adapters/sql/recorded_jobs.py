"""Jobs of the ledger with what they were given: inputs of preflights and scale tests."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from rollout.adapters.envelope import unseal_arguments
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.shadow_tables import shadow_run
from rollout.adapters.sql.tables import job
from rollout.preflight.facts import JobFact

_COLUMNS = (job.c.job_id, job.c.envelope, job.c.started_at, job.c.finished_at, job.c.attempt)


def read_recorded(database: Database, name: str, since: datetime, limit: int) -> list[JobFact]:
    """Read the newest jobs that were accepted since then; drills are left out.

    Raises:
        LedgerUnreachable: The database does not answer.
    """
    query = (
        select(*_COLUMNS)
        .where(job.c.name == name, job.c.drill.is_(None), job.c.accepted_at >= since)
        .order_by(job.c.accepted_at.desc())
        .limit(limit)
    )
    with database.read() as connection:
        return _facts(connection.execute(query))


def read_shadowed(database: Database, name: str, limit: int) -> list[JobFact]:
    """Read jobs that a shadow ran on, newest first; where there are none, the newest of all.

    Raises:
        LedgerUnreachable: The database does not answer.
    """
    copies = (
        select(shadow_run.c.job_id, func.max(shadow_run.c.began_at).label("at"))
        .where(shadow_run.c.name == name)
        .group_by(shadow_run.c.job_id)
        .order_by(func.max(shadow_run.c.began_at).desc())
        .limit(limit)
        .subquery()
    )
    of_copies = (
        select(*_COLUMNS)
        .join(copies, copies.c.job_id == job.c.job_id)
        .where(job.c.name == name, job.c.envelope != "")
        .order_by(copies.c.at.desc())
    )
    newest = (
        select(*_COLUMNS)
        .where(job.c.name == name, job.c.drill.is_(None), job.c.envelope != "")
        .order_by(job.c.accepted_at.desc())
        .limit(limit)
    )
    with database.read() as connection:
        return _facts(connection.execute(of_copies)) or _facts(connection.execute(newest))


def _facts(rows: Iterable[Any]) -> list[JobFact]:
    return [_fact(row) for row in rows]


def _fact(row: Any) -> JobFact:
    where = f"job {row.job_id}"
    seconds = None
    # A later attempt began later than the job: the time between is no run of one path.
    if row.started_at is not None and row.finished_at is not None and row.attempt == 1:
        seconds = max(0.0, (row.finished_at - row.started_at).total_seconds())
    if not row.envelope:
        return JobFact(where, seconds=seconds)  # it ran in its caller's process
    size_bytes = len(row.envelope.encode())
    try:
        args, kwargs = unseal_arguments(row.envelope)
    except (ValueError, KeyError, TypeError):
        return JobFact(where, None, None, seconds, size_bytes, "its message cannot be read")
    return JobFact(where, args, kwargs, seconds, size_bytes)
