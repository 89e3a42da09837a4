"""What the ledger's user may not do, asked before a job or a kill finds out."""

from sqlalchemy import Connection, text

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.names import TABLES, VERSION_TABLE

_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TABLES = text(
    """
    SELECT c.relname, p.privilege
    FROM pg_class c CROSS JOIN unnest(CAST(:privileges AS text[])) AS p(privilege)
    WHERE c.oid IN (SELECT to_regclass(n) FROM unnest(CAST(:names AS text[])) AS t(n))
    AND NOT has_table_privilege(c.oid, p.privilege) ORDER BY 2, 1
    """
)
_SEQUENCES = text(
    """
    SELECT s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype = 'a'
    WHERE d.refobjid IN (SELECT to_regclass(n) FROM unnest(CAST(:names AS text[])) AS t(n))
    AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') ELSE false END
    ORDER BY 1
    """
)
"""A table depends on what is in it, too, and to ask for a right to what is no sequence fails."""
_ELSEWHERE = text(
    "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = :table AND c.relkind = 'r' AND n.nspname <> ALL (current_schemas(false))"
    " ORDER BY 1"
)


def refused_to(database: Database) -> tuple[str, ...]:
    """What the ledger would refuse to this user, a phrase each; empty when it takes everything.

    Raises:
        LedgerUnreachable: It does not answer, or, of a file, may not be written.
    """
    if not database.is_postgresql:
        with (
            database.write()
        ):  # takes the single writer's lock, which a file that is read-only has not
            return ()
    with database.read() as connection:
        return (*_read_only(connection), *_not_granted(database, connection))


def ledgers_elsewhere(database: Database) -> tuple[str, ...]:
    """Schemas of this database with a ledger that neither setting nor search_path names."""
    if not database.is_postgresql:
        return ()
    with database.read() as connection:
        return tuple(connection.execute(_ELSEWHERE, {"table": VERSION_TABLE}).scalars())


def _read_only(connection: Connection) -> list[str]:
    """Whether the server takes no writes: a standby, or a default that somebody has set."""
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        return ["it is a standby, which takes no writes"]
    how = connection.execute(text("SELECT current_setting('transaction_read_only')")).scalar_one()
    return ["it is read-only (default_transaction_read_only is on)"] if how == "on" else []


def _not_granted(database: Database, connection: Connection) -> list[str]:
    prefix = "" if database.schema is None else f'"{database.schema}".'
    names = {"names": [f"{prefix}{name}" for name in sorted(TABLES)]}
    lacking: dict[str, list[str]] = {}
    for table, privilege in connection.execute(_TABLES, {**names, "privileges": list(_ALL)}):
        lacking.setdefault(privilege, []).append(table)
    phrases = [
        f"its user may not {privilege} in {_some(lacking[privilege])}"
        for privilege in _ALL
        if privilege in lacking
    ]
    sequences = list(connection.execute(_SEQUENCES, names).scalars())
    return phrases + ([f"its user may not use {_some(sequences)}"] if sequences else [])


def _some(names: list[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
