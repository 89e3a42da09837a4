"""Drills: their journal, and which jobs they hurt."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

DRILLED = "drill IS NOT NULL"


def upgrade() -> None:
    """Add the journal and the index."""
    op.create_table(
        "drill_event",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("drill_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_index("ix_drill_event_drill_id", "drill_event", ["drill_id"])
    op.create_index("drill_event_name_what", "drill_event", ["name", "what"])
    op.create_index(
        "job_drilled",
        "job",
        ["drill"],
        sqlite_where=sa.text(DRILLED),
        postgresql_where=sa.text(DRILLED),
    )
    _refuse_rewriting_the_journal()


def _refuse_rewriting_the_journal() -> None:
    """Make the journal append-only for every client, as the log of changes is."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER drill_event_append_only BEFORE UPDATE OR DELETE ON drill_event "
            "FOR EACH ROW EXECUTE FUNCTION transition_is_append_only()"
        )
        return
    called = op.get_bind().dialect.identifier_preparer.quote("drill_event")
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER drill_event_no_{verb.lower()} BEFORE {verb} ON {called} "
            "BEGIN SELECT RAISE(ABORT, 'the journal of drills is append-only'); END"
        )


def downgrade() -> None:
    """Drop what this revision added; the journal is lost."""
    op.drop_index("job_drilled", "job")
    op.drop_table("drill_event")
