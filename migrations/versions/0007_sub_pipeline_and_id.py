"""A job is found by its sub-pipeline and its id, each claim draws a nonce, deletions leave a mark.

Expands only: a worker of the release before runs on it. It still knows one job per id, which 0009
lets go of once no such worker is left.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what this release needs beside what the one before does."""
    op.add_column("job", sa.Column("nonce", sa.String(32)))
    op.create_table(
        "pruned",
        sa.Column("what", sa.String(16), primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # The key to be: built here, so that 0009 holds its lock for no longer than a moment.
        op.create_index("job_by_id_and_name", "job", ["job_id", "name"], unique=True)


def downgrade() -> None:
    """Drop it; what was pruned is no longer known."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("job_by_id_and_name", "job")
    op.drop_table("pruned")
    op.drop_column("job", "nonce")
