"""Where a ledger is before it is migrated: nowhere yet, here, or where a release before kept it.

Beside an application's tables two things must not be mistaken: the application's own
`alembic_version` for ours, and its tables for ours. A ledger is one that has our control rows; what
a release before noted in `alembic_version` is taken over, and that table left to the application.
"""

from sqlalchemy import Connection, inspect, text

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.names import OLD_VERSION_TABLE, TABLES, VERSION_TABLE
from rollout.errors import WrongSettings

_FUNCTION = "transition_is_append_only()"
_LANE = ("rollout_file", "rollout_claim", "rollout_commit", "rollout_is_first", "rollout_leave")
_OURS = {"name", "fence_revision", "lifted_kill_id"}
"""Columns of `sub_pipeline` from the first release on."""


def version_in(connection: Connection, schema: str | None) -> str | None:
    """The migration that a ledger in this schema is at, wherever it was noted; None without one."""
    looker = inspect(connection)
    tables = set(looker.get_table_names(schema))
    if VERSION_TABLE in tables:
        return _noted(connection, VERSION_TABLE, schema)
    if not {OLD_VERSION_TABLE, "sub_pipeline"} <= tables:
        return None
    columns = {one["name"] for one in looker.get_columns("sub_pipeline", schema)}
    return _noted(connection, OLD_VERSION_TABLE, schema) if columns >= _OURS else None


def _noted(connection: Connection, table: str, schema: str | None) -> str | None:
    query = f"SELECT version_num FROM {_in(schema, table)}"
    found: list[str] = list(connection.execute(text(query)).scalars())
    # An application that shared the old table has lines of its own in it.
    ours = [one for one in found if len(one) == 4 and one.isdecimal()]
    return max(ours, default=None) if table == OLD_VERSION_TABLE else max(found, default=None)


def settle(database: Database, connection: Connection) -> None:
    """Bring a ledger of a release before to where this one looks for it; begin none over another's.

    Raises:
        WrongSettings: Names that a new ledger needs are taken by somebody else's tables.
    """
    schema = database.schema
    if database.is_postgresql:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rollout/migrate'))"))
    if schema is not None:
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        if version_in(connection, schema) is None and version_in(connection, None) is not None:
            _move(connection, schema)
    if version_in(connection, schema) is None:
        _refuse_taken(database, connection)
    else:
        _take_over(connection, schema)


def _refuse_taken(database: Database, connection: Connection) -> None:
    taken = TABLES & set(inspect(connection).get_table_names(database.schema))
    if not taken or not database.is_postgresql:  # a file's names were settled before
        return
    where = "" if database.schema is None else f" in schema {database.schema!r}"
    raise WrongSettings(
        f"the database {database.url} has tables of the ledger's names that are not rollout's"
        f"{where}: {', '.join(sorted(taken))}",
        "give the ledger a schema of its own: ROLLOUT_LEDGER_SCHEMA=rollout",
    )


def _take_over(connection: Connection, schema: str | None) -> None:
    """Note the version under our own name, and leave `alembic_version` to the application."""
    tables = set(inspect(connection).get_table_names(schema))
    if VERSION_TABLE in tables:
        return
    old, new = _in(schema, OLD_VERSION_TABLE), _in(schema, VERSION_TABLE)
    version = version_in(connection, schema)
    connection.execute(
        text(
            f"CREATE TABLE {new} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    given = {"version": version}
    connection.execute(text(f"INSERT INTO {new} VALUES (:version)"), given)
    connection.execute(text(f"DELETE FROM {old} WHERE version_num = :version"), given)
    if not connection.execute(text(f"SELECT count(*) FROM {old}")).scalar_one():
        connection.execute(text(f"DROP TABLE {old}"))


def _move(connection: Connection, schema: str) -> None:
    """Move every table of ours from the default schema to one of its own, in this transaction."""
    _take_over(connection, None)
    there = set(inspect(connection).get_table_names())
    for table in sorted((TABLES | {VERSION_TABLE}) & there):
        connection.execute(text(f'ALTER TABLE {table} SET SCHEMA "{schema}"'))
    connection.execute(text(f'ALTER FUNCTION {_FUNCTION} SET SCHEMA "{schema}"'))
    for function in _LANE:
        there_too = text("SELECT to_regproc(:function) IS NOT NULL")
        if connection.execute(there_too, {"function": function}).scalar_one():
            connection.execute(text(f'ALTER FUNCTION {function} SET SCHEMA "{schema}"'))
            where = f'SET search_path = "{schema}", pg_temp'
            connection.execute(text(f'ALTER FUNCTION "{schema}".{function} {where}'))


def _in(schema: str | None, table: str) -> str:
    return table if schema is None else f'"{schema}".{table}'
