"""The first ledger: control rows, log of changes, jobs, tallies, kept messages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

OPEN = "state IN ('accepted', 'started')"
UNFOLDED = "state IN ('committed', 'failed') AND NOT folded"
COMMITTED = "state = 'committed'"
FAILED = "state = 'failed'"


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "sub_pipeline",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("effects", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("scope_bp", sa.Integer, nullable=False),
        sa.Column("holdback_bp", sa.Integer, nullable=False),
        sa.Column("killed", sa.Boolean, nullable=False),
        sa.Column("frozen", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("fence_revision", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.String(100), nullable=False),
        sa.Column("kill_id", sa.String(64)),
        sa.Column("lifted_kill_id", sa.String(64)),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
    )
    op.create_index("ix_transition_name", "transition", ["name"])
    _create_job()
    op.create_table(
        "tally",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("assigned_path", sa.String(12), primary_key=True),
        sa.Column("path", sa.String(12), primary_key=True),
        sa.Column("outcome", sa.String(12), primary_key=True),
        sa.Column("reason", sa.String(24), primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cycle_tally",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("assigned_path", sa.String(12), primary_key=True),
        sa.Column("le_s", sa.Float, primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
        sa.Column("sum_s", sa.Float, nullable=False),
    )
    op.create_table(
        "kept_message",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("queue", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    _refuse_rewriting_history()


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.String(191), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("assigned_path", sa.String(12), nullable=False),
        sa.Column("path", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence_revision", sa.BigInteger, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("renewed_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("fallback_reason", sa.String(24)),
        sa.Column("moved_reason", sa.String(24)),
        sa.Column("error", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("worker", sa.String(200)),
        sa.Column("folded", sa.Boolean, nullable=False),
        sa.Column("way", sa.Text, nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
    )
    for name, columns, where in (
        ("job_open", ["name", "state", "path", "sent_at"], OPEN),
        ("job_unfolded", ["finished_at"], UNFOLDED),
        ("job_committed", ["finished_at"], COMMITTED),
        ("job_failed", ["finished_at"], FAILED),
    ):
        op.create_index(
            name, "job", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def _refuse_rewriting_history() -> None:
    """Make the log of changes append-only for every client, not only for this program."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION transition_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the log of changes is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER transition_append_only BEFORE UPDATE OR DELETE ON transition "
            "FOR EACH ROW EXECUTE FUNCTION transition_is_append_only()"
        )
        return
    called = op.get_bind().dialect.identifier_preparer.quote("transition")
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER transition_no_{verb.lower()} BEFORE {verb} ON {called} "
            "BEGIN SELECT RAISE(ABORT, 'the log of changes is append-only'); END"
        )


def downgrade() -> None:
    """Drop all tables; jobs and history are lost."""
    for table in ("kept_message", "cycle_tally", "tally", "job", "transition", "sub_pipeline"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION transition_is_append_only()")
