"""Which builds of a path were seen, first and last: a straggler must not take the build back."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_KNOWN = """
INSERT INTO {seen} (name, path, build, first_at, last_at)
SELECT name, '{path}', {path}_build, changed_at, changed_at FROM {control}
WHERE {path}_build IS NOT NULL
"""


def upgrade() -> None:
    """Create the table, with the builds that are announced now; workers of before go on."""
    op.create_table(
        "build_seen",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("path", sa.String(12), primary_key=True),
        sa.Column("build", sa.String(100), primary_key=True),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
    )
    called = op.get_bind().dialect.identifier_preparer.quote
    for path in ("legacy", "concurrent"):
        op.execute(
            _KNOWN.format(path=path, seen=called("build_seen"), control=called("sub_pipeline"))
        )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("build_seen")
