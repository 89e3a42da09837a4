"""The jobs of one sub-pipeline in the ledger as a log to audit."""

from __future__ import annotations

from sqlalchemy import func, select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import job
from rollout.adapters.sql.waits import unbound
from rollout.audit.job_log import NAN, Capture, JobLog, Status
from rollout.jobs.claims import JobState

_STATUS = {JobState.COMMITTED: Status.DONE, JobState.FAILED: Status.FAILED}
_COLUMNS = (
    job.c.path,
    job.c.state,
    job.c.accepted_at,
    job.c.not_before,
    job.c.started_at,
    job.c.finished_at,
    job.c.worker,
    func.length(job.c.envelope).label("size"),
)


def read_audited(database: Database, name: str) -> JobLog:
    """Read all jobs that the ledger still holds; drills are left out.

    A job is queued from when it may start; one that fell back has legacy's start and the whole wait
    before it.

    Raises:
        LedgerUnreachable: The database does not answer.
    """
    log = JobLog()
    log.captures.append(Capture(f"ledger: {name}", "ledger", given=f"--ledger {name}"))
    query = (
        select(*_COLUMNS)
        .where(job.c.name == name, job.c.drill.is_(None))
        .order_by(job.c.accepted_at)
    )
    with database.read() as connection:
        if database.is_postgresql:
            unbound(connection)  # a long history, read once and by itself
        for number, row in enumerate(connection.execute(query), start=1):
            accepted = row.accepted_at.timestamp()
            queued = max(accepted, row.not_before.timestamp()) if row.not_before else accepted
            started = row.started_at.timestamp() if row.started_at else NAN
            ended = row.finished_at.timestamp() if row.finished_at else NAN
            if ended < started or started < accepted:
                log.wrong("an end before its start", f"ledger job {number}")
                continue
            log.add(
                log.jobs.nameless(), log.steps.number(f"{name}.{row.path}"),
                log.workers.number(row.worker) if row.worker else -1,
                queued=min(queued, started) if started == started else queued,
                started=started, ended=ended, size=float(row.size or 0) or NAN,
                status=_STATUS.get(JobState(row.state), Status.OPEN),
            )  # fmt: skip
    return log
