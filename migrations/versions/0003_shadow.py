"""Shadows: runs, groups of mismatches, counts, evidence.

Expands only: a worker of the release before runs on it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

RUNNING = "state = 'running'"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "shadow_account",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("epoch", sa.String(300), nullable=False),
        sa.Column("evidence", sa.Text),
    )
    op.create_table(
        "shadow_tally",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("what", sa.String(60), primary_key=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "shadow_group",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("path", sa.String(12), primary_key=True),
        sa.Column("digest", sa.String(16), primary_key=True),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("example_job_id", sa.String(191), nullable=False),
        sa.Column("example", sa.Text, nullable=False),
    )
    _create_run()


def _create_run() -> None:
    op.create_table(
        "shadow_run",
        sa.Column("run_id", sa.String(191), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("job_id", sa.String(191), nullable=False),
        sa.Column("path", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("legacy_s", sa.Float, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("shadow_s", sa.Float),
        sa.Column("trouble", sa.String(24)),
        sa.Column("why", sa.Text),
        sa.Column("signature", sa.Text),
    )
    op.create_index("shadow_run_listed", "shadow_run", ["name", "began_at"])
    op.create_index("shadow_run_ended", "shadow_run", ["name", "ended_at"])
    op.create_index(
        "shadow_run_running",
        "shadow_run",
        ["name", "began_at"],
        sqlite_where=sa.text(RUNNING),
        postgresql_where=sa.text(RUNNING),
    )


def downgrade() -> None:
    """Drop the tables; what shadows showed is lost."""
    for table in ("shadow_run", "shadow_group", "shadow_tally", "shadow_account"):
        op.drop_table(table)
