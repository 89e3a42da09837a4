"""The table of `order="key"`: a row per job that has its outcome still before it."""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from rollout.adapters.sql.tables import UtcTime, metadata

key_place = Table(
    "key_place",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("key", Text, nullable=False),
    Column("job_id", String(191), nullable=False),
    Column("on_failure", String(8), nullable=False),
    Column("waits", Boolean, nullable=False),
    Column("due", UtcTime),
    Index("key_place_key", "name", "key", "id"),
    Index("key_place_job", "name", "job_id", unique=True),
    sqlite_autoincrement=True,
)
"""Places in the order of submission, by sub-pipeline and key. `waits`: its message is gone and the
job in front sends it; `due` is then the `not_before` that the job had."""
