"""What a kill met: how many jobs waited and ran on the concurrent path when it moved the fence."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add two columns to the log of changes; a worker of before writes none of them."""
    op.add_column("transition", sa.Column("queued_met", sa.Integer))
    op.add_column("transition", sa.Column("running_met", sa.Integer))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("transition", "running_met")
    op.drop_column("transition", "queued_met")
