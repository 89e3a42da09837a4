"""Tables of shadows: runs, groups of mismatches, counts, and the evidence folded from them."""

from sqlalchemy import BigInteger, Column, Float, Index, String, Table, Text

from rollout.adapters.sql.tables import UtcTime, metadata
from rollout.adapters.sql.words import Words

shadow_account = Table(
    "shadow_account",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("epoch", String(300), nullable=False),
    Column("evidence", Text),
)
"""The evidence of a sub-pipeline's shadows, and since when: a new epoch begins afresh."""

shadow_tally = Table(
    "shadow_tally",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("what", String(60), primary_key=True),
    Column("runs", BigInteger, nullable=False),
)
"""Runs and shed copies by what became of them."""

shadow_group = Table(
    "shadow_group",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("path", String(12), primary_key=True),
    Column("digest", String(16), primary_key=True),
    Column("signature", Words, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("example_job_id", String(191), nullable=False),
    Column("example", Words, nullable=False),
)
"""Mismatches of one cause; `digest` is the hash of the signature."""

shadow_run = Table(
    "shadow_run",
    metadata,
    Column("run_id", String(191), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("job_id", String(191), nullable=False),
    Column("path", String(12), nullable=False),
    Column("state", String(12), nullable=False),
    Column("legacy_s", Float, nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("shadow_s", Float),
    Column("trouble", String(24)),
    Column("why", Words),
    Column("signature", Words),
    Index("shadow_run_listed", "name", "began_at"),
    Index("shadow_run_ended", "name", "ended_at"),
)
"""One row per shadow, for as long as committed jobs are kept."""
