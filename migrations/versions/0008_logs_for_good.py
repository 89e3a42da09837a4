"""Append-only logs refuse TRUNCATE (PostgreSQL) and INSERT OR REPLACE (SQLite), too.

A replaced row is deleted without its delete trigger, so the insert is looked at before.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

LOGS = {
    "transition": "the log of changes",
    "decision": "the log of decisions",
    "drill_event": "the journal of drills",
}


def upgrade() -> None:
    """Add the triggers."""
    if op.get_bind().dialect.name == "postgresql":
        for table in LOGS:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION transition_is_append_only()"
            )
        return
    called = op.get_bind().dialect.identifier_preparer.quote
    for table, words in LOGS.items():
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {called(table)} "
            f"WHEN EXISTS (SELECT 1 FROM {called(table)} WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{words} is append-only'); END"
        )
    # A window that was decided stays decided. Two controllers may come to the same one, and the
    # second insert is no error, so it is passed over.
    op.execute(
        f"CREATE TRIGGER decision_no_replace_window BEFORE INSERT ON {called('decision')} "
        f"WHEN EXISTS (SELECT 1 FROM {called('decision')} "
        'WHERE name = NEW.name AND "window" = NEW."window" '
        "AND id IS NOT NEW.id) "
        "BEGIN SELECT RAISE(IGNORE); END"
    )


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        for table in LOGS:
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
        return
    op.execute("DROP TRIGGER decision_no_replace_window")
    for table in LOGS:
        op.execute(f"DROP TRIGGER {table}_no_replace")
