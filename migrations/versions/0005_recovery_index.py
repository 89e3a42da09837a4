"""Recoveries of all sub-pipelines by time: each tick asks for the newest of them."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the index."""
    op.create_index("recovery_at", "recovery", ["at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("recovery_at", "recovery")
