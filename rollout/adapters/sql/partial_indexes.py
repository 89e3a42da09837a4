"""Indexes on some rows of a table, for the migrations: naming one loads PostgreSQL's whole dialect.

That takes 0.05 s, which a command on SQLite need not wait for: nothing that only reads and writes
rows imports this module.
"""

from sqlalchemy import Column, Index, TextClause, text

from rollout.adapters.sql.order_tables import key_place
from rollout.adapters.sql.pilot_tables import notice
from rollout.adapters.sql.shadow_tables import shadow_run
from rollout.adapters.sql.tables import FAILED, FELL_BACK, OPEN, UNFOLDED, job


def _index(name: str, where: TextClause, *columns: Column[object]) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


PARTIAL_INDEXES = (
    # The controller's work depends on what is open and not on history: unfinished and unfolded
    # jobs have indexes of their own.
    _index("job_open", OPEN, job.c.name, job.c.state, job.c.path, job.c.sent_at),
    _index("job_unfolded", UNFOLDED, job.c.finished_at),
    # For `prune`.
    _index("job_committed", text("state = 'committed'"), job.c.finished_at),
    # What failed or fell back is listed newest admission first, of one sub-pipeline or of all.
    _index("job_failed", FAILED, job.c.name, job.c.accepted_at),
    _index("job_failed_at", FAILED, job.c.accepted_at),
    _index("job_fell_back", FELL_BACK, job.c.name, job.c.accepted_at),
    _index("job_fell_back_at", FELL_BACK, job.c.accepted_at),
    _index("job_drilled", text("drill IS NOT NULL"), job.c.drill),
    _index("notice_open", text("NOT closed"), notice.c.next_at),
    _index(
        "shadow_run_running", text("state = 'running'"), shadow_run.c.name, shadow_run.c.began_at
    ),
    # A key's places are as many as its queue is long; those that wait for their turn are few.
    Index(
        "key_place_waits",
        key_place.c.name,
        key_place.c.key,
        sqlite_where=text("waits = 1"),
        postgresql_where=text("waits"),
    ),
)
"""Each joins its table."""
