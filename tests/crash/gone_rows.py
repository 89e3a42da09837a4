"""Rows that were deleted, kept by a trigger: what a prune takes has to have been over.

The database itself writes them, so that no deletion of anybody is missed; rows that the deck takes
from under running attempts are taken out of here again.
"""

from sqlalchemy import Connection, text

COLUMNS = (
    "job_id", "name", "state", "path", "attempt", "fence_revision", "finished_at", "way",
    "fallback_reason", "error",
)  # fmt: skip
_LIST = ", ".join(COLUMNS)
_OLD = ", ".join(f"OLD.{column}" for column in COLUMNS)
_INSERT = f"INSERT INTO gone ({_LIST}) SELECT {_OLD};"


def remember_deleted(connection: Connection) -> None:
    """Make the table and the trigger that fills it."""
    connection.execute(text(f"CREATE TABLE gone AS SELECT {_LIST} FROM job WHERE 1 = 0"))
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"CREATE TRIGGER remember AFTER DELETE ON job BEGIN {_INSERT} END"))
        return
    connection.execute(
        text(
            "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {_INSERT} RETURN OLD; END $$"
        )
    )
    connection.execute(
        text("CREATE TRIGGER remember AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION remember()")
    )


def disregard(connection: Connection, name: str, job_id: str) -> None:
    """Take a row out of it that the deck itself has deleted."""
    connection.execute(
        text("DELETE FROM gone WHERE job_id = :job_id AND name = :name"),
        {"job_id": job_id, "name": name},
    )
