"""Places of jobs among those of their key, for sub-pipelines with `order="key"`."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table; a worker of before writes nothing into it and keeps no order."""
    op.create_table(
        "key_place",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("job_id", sa.String(191), nullable=False),
        sa.Column("on_failure", sa.String(8), nullable=False),
        sa.Column("waits", sa.Boolean, nullable=False),
        sa.Column("due", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("key_place_key", "key_place", ["name", "key", "id"])
    op.create_index("key_place_job", "key_place", ["name", "job_id"], unique=True)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("key_place")
