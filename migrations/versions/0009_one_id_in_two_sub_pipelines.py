"""Two sub-pipelines may have jobs of one id: the key is sub-pipeline and id.

Contracts: a worker of the release before files by id alone, and its statements fail on this. Stop
those first; until then `rollout migrate` to 0008 is enough for both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

INDEXES = (
    ("job_admitted", ["name", "accepted_at"], None),
    ("job_open", ["name", "state", "path", "sent_at"], "state IN ('accepted', 'started')"),
    ("job_unfolded", ["finished_at"], "state IN ('committed', 'failed') AND NOT folded"),
    ("job_committed", ["finished_at"], "state = 'committed'"),
    ("job_failed", ["finished_at"], "state = 'failed'"),
    ("job_drilled", ["drill"], "drill IS NOT NULL"),
)


def upgrade() -> None:
    """Change the key."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE job DROP CONSTRAINT job_pkey, "
            "ADD CONSTRAINT job_pkey PRIMARY KEY USING INDEX job_by_id_and_name"
        )
    else:
        _copy(key=("job_id", "name"))


def _copy(key: tuple[str, ...]) -> None:
    """Move all rows to a table with another key: SQLite cannot change it in place."""
    op.rename_table("job", "job_before")
    columns = _columns(key)
    op.create_table("job", *columns)
    names = ", ".join(f'"{column.name}"' for column in columns)
    called = op.get_bind().dialect.identifier_preparer.quote("job")
    op.execute(f"INSERT INTO {called} ({names}) SELECT {names} FROM job_before")
    op.drop_table("job_before")
    for name, indexed, where in INDEXES:
        partial = {} if where is None else {"sqlite_where": sa.text(where)}
        op.create_index(name, "job", indexed, **partial)


def _columns(key: tuple[str, ...]) -> list[sa.Column[object]]:
    text, time, number = sa.Text, sa.BigInteger, sa.Integer
    given = [
        ("job_id", sa.String(191), False), ("name", sa.String(100), False), ("key", text, False),
        ("state", sa.String(12), False), ("assigned_path", sa.String(12), False),
        ("path", sa.String(12), False), ("reason", sa.String(24), False),
        ("revision", sa.BigInteger, False), ("attempt", number, False),
        ("fence_revision", sa.BigInteger, False), ("deaths", number, False),
        ("accepted_at", time, False), ("sent_at", time, False), ("started_at", time, True),
        ("renewed_at", time, True), ("finished_at", time, True), ("not_before", time, True),
        ("fallback_reason", sa.String(24), True), ("moved_reason", sa.String(24), True),
        ("error", text, True), ("result", text, True), ("worker", sa.String(200), True),
        ("folded", sa.Boolean, False), ("drill", sa.String(64), True),
        ("nonce", sa.String(32), True), ("way", text, False), ("envelope", text, False),
    ]  # fmt: skip
    return [
        sa.Column(name, kind, nullable=null, primary_key=name in key) for name, kind, null in given
    ]


def downgrade() -> None:
    """Know one job per id again; fails, and changes nothing, where one id has several."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE job DROP CONSTRAINT job_pkey, ADD CONSTRAINT job_pkey PRIMARY KEY (job_id)"
        )
        op.create_index("job_by_id_and_name", "job", ["job_id", "name"], unique=True)
    else:
        _copy(key=("job_id",))
