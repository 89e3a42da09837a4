"""The doors of page and API: tokens, sessions, the log of acts, answers that are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the tables; the log of acts is append-only, as the other logs are."""
    op.create_table(
        "access_token",
        sa.Column("token_id", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("names", sa.Text),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_table(
        "web_session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("names", sa.Text),
        sa.Column("token_id", sa.String(16)),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_web_session_token_id", "web_session", ["token_id"])
    op.create_table(
        "act",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("door", sa.String(8), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("came", sa.String(12), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    op.create_index("act_name", "act", ["name", "id"])
    op.create_table(
        "request_answer",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.Text),
    )
    op.create_index("ix_request_answer_began_at", "request_answer", ["began_at"])
    _refuse_rewriting_acts()


def _refuse_rewriting_acts() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, verbs, each in (
            ("act_append_only", "UPDATE OR DELETE", "ROW"),
            ("act_no_truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {verbs} ON act "
                f"FOR EACH {each} EXECUTE FUNCTION transition_is_append_only()"
            )
        return
    act = op.get_bind().dialect.identifier_preparer.quote("act")
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER act_no_{verb.lower()} BEFORE {verb} ON {act} "
            "BEGIN SELECT RAISE(ABORT, 'the log of acts is append-only'); END"
        )
    op.execute(
        f"CREATE TRIGGER act_no_replace BEFORE INSERT ON {act} "
        f"WHEN EXISTS (SELECT 1 FROM {act} WHERE id = NEW.id) "
        "BEGIN SELECT RAISE(ABORT, 'the log of acts is append-only'); END"
    )


def downgrade() -> None:
    """Drop them; tokens and the log of acts are lost."""
    for table in ("request_answer", "act", "web_session", "access_token"):
        op.drop_table(table)
