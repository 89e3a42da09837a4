"""Who holds a resource and who waits for it, for sub-pipelines with `resources={...}`."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the table; a worker of before writes nothing into it and asks for no resource."""
    op.create_table(
        "resource_use",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("resource", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("job_id", sa.String(191), nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("nonce", sa.String(32)),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("called_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("resource_use_line", "resource_use", ["resource", "nonce", "id"])
    op.create_index("resource_use_job", "resource_use", ["name", "job_id", "resource"], unique=True)


def downgrade() -> None:
    """Drop it; jobs that wait for a resource are sent by nobody: let none wait before."""
    op.drop_table("resource_use")
