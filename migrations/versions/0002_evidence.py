"""Evidence: pilots, decisions, the controller's lease, drills' spans, recoveries; builds of paths.

Expands only: a worker of the release before runs on it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("job", sa.Column("drill", sa.String(64)))
    op.create_index("job_admitted", "job", ["name", "accepted_at"])
    op.add_column("sub_pipeline", sa.Column("legacy_build", sa.String(100)))
    op.add_column("sub_pipeline", sa.Column("concurrent_build", sa.String(100)))
    _create_pilot()
    _create_decision()
    _create_drill()
    _refuse_rewriting_decisions()


def _create_pilot() -> None:
    op.create_table(
        "pilot",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("on_trial", sa.Integer, nullable=False),
        sa.Column("step_revision", sa.BigInteger, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("scored_to", sa.BigInteger, nullable=False),
        sa.Column("window_us", sa.BigInteger, nullable=False),
        sa.Column("settle_us", sa.BigInteger, nullable=False),
        sa.Column("median_us", sa.BigInteger),
        sa.Column("tail_us", sa.BigInteger),
        sa.Column("median_shifted_us", sa.BigInteger),
        sa.Column("tail_shifted_us", sa.BigInteger),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "legacy_profile",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "path_watch",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("path", sa.String(12), primary_key=True),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "evidence_hour",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True),
        sa.Column("path", sa.String(12), primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("both_failed", sa.BigInteger, nullable=False),
        sa.Column("unjudged", sa.BigInteger, nullable=False),
        sa.Column("slow_median", sa.BigInteger, nullable=False),
        sa.Column("slow_tail", sa.BigInteger, nullable=False),
    )


def _create_decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("window", sa.String(120), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
    )
    op.create_index("ix_decision_name", "decision", ["name"])
    op.create_index("decision_window", "decision", ["name", "window"], unique=True)
    op.create_table(
        "lease",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def _create_drill() -> None:
    op.create_table(
        "drill_span",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("drill_id", sa.String(64), nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("ix_drill_span_name", "drill_span", ["name"])
    op.create_table(
        "recovery",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("pair_id", sa.String(64)),
        sa.Column("path", sa.String(12), nullable=False),
        sa.Column("fault", sa.String(100), nullable=False),
        sa.Column("onset_at", sa.BigInteger, nullable=False),
        sa.Column("detected_at", sa.BigInteger),
        sa.Column("recovered_at", sa.BigInteger),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("cap_s", sa.Float, nullable=False),
        sa.Column("version", sa.String(100)),
        sa.Column("jobs_hurt", sa.Integer, nullable=False),
        sa.Column("jobs_lost", sa.Integer, nullable=False),
    )
    op.create_index("recovery_name_at", "recovery", ["name", "at"])


def _refuse_rewriting_decisions() -> None:
    """Make the log of decisions append-only for every client, as the log of changes is."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER decision_append_only BEFORE UPDATE OR DELETE ON decision "
            "FOR EACH ROW EXECUTE FUNCTION transition_is_append_only()"
        )
        return
    called = op.get_bind().dialect.identifier_preparer.quote("decision")
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER decision_no_{verb.lower()} BEFORE {verb} ON {called} "
            "BEGIN SELECT RAISE(ABORT, 'the log of decisions is append-only'); END"
        )


def downgrade() -> None:
    """Drop what this revision added; evidence and decisions are lost."""
    for table in (
        "recovery",
        "drill_span",
        "lease",
        "decision",
        "evidence_hour",
        "path_watch",
        "legacy_profile",
        "pilot",
    ):
        op.drop_table(table)
    op.drop_index("job_admitted", "job")
    op.drop_column("job", "drill")
    op.drop_column("sub_pipeline", "concurrent_build")
    op.drop_column("sub_pipeline", "legacy_build")
