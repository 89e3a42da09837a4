"""The table of `resources={...}`: a row per job and resource that it holds or waits for."""

from sqlalchemy import Column, Index, Integer, String, Table

from rollout.adapters.sql.tables import UtcTime, metadata

resource_use = Table(
    "resource_use",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("resource", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("job_id", String(191), nullable=False),
    Column("weight", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("nonce", String(32)),
    Column("since", UtcTime, nullable=False),
    Column("called_at", UtcTime),
    Index("resource_use_line", "resource", "nonce", "id"),
    Index("resource_use_job", "name", "job_id", "resource", unique=True),
    sqlite_autoincrement=True,
)
"""`id` is the order in which jobs first asked. With a `nonce` that claim holds it, while its job is
started by that very claim; without one the job waits, while it is accepted."""
