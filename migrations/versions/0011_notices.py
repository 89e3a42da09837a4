"""Notices of decisions, written with them and sent by a sender of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

OPEN = "NOT closed"


def upgrade() -> None:
    """Create the table; a controller of before goes on sending by itself."""
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
    )
    where = sa.text(OPEN)
    op.create_index(
        "notice_open", "notice", ["next_at"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    """Drop it; what was not sent is not sent."""
    op.drop_table("notice")
