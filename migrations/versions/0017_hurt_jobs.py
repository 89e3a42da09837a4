"""Failed and fallen back jobs by admission: page and API list the newest of a million at once."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

FAILED = sa.text("state = 'failed'")
FELL_BACK = sa.text("fallback_reason IS NOT NULL")


def upgrade() -> None:
    """Add the indexes; `job_failed` was by the time of the end, which nobody asks for."""
    op.drop_index("job_failed", "job")
    for name, columns, where in (
        ("job_failed", ["name", "accepted_at"], FAILED),
        ("job_failed_at", ["accepted_at"], FAILED),
        ("job_fell_back", ["name", "accepted_at"], FELL_BACK),
        ("job_fell_back_at", ["accepted_at"], FELL_BACK),
    ):
        op.create_index(name, "job", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them, and put the old one back."""
    for name in ("job_failed", "job_failed_at", "job_fell_back", "job_fell_back_at"):
        op.drop_index(name, "job")
    op.create_index(
        "job_failed", "job", ["finished_at"], sqlite_where=FAILED, postgresql_where=FAILED
    )
