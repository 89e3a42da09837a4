"""Many rows added to, or written over, in one call of the driver.

The fold and the controller's turn write thousands of small rows. Through SQLAlchemy one statement
each they cost more than everything else in a tick, and on SQLite the single writer's lock is held
for as long: a kill would wait for it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table

Rows = Sequence[dict[str, Any]]


def add_up(connection: Connection, insert_into: Any, table: Table, rows: Rows) -> None:
    """Insert rows; where a row with the key is there, add the other columns to it.

    Args:
        connection: An open writing transaction.
        insert_into: `insert` of the database's dialect.
        table: Its primary key is the key.
        rows: All columns of each; sorted, so that two writers cannot wait for each other's rows.
    """
    added = insert_into(table)
    sums = {one.name: one + added.excluded[one.name] for one in table.c if not one.primary_key}
    _execute(connection, added, table, sums, rows)


def overwrite(connection: Connection, insert_into: Any, table: Table, rows: Rows) -> None:
    """Insert rows; where a row with the key is there, write the other columns over it.

    Takes what `add_up` takes.
    """
    added = insert_into(table)
    new = {one.name: added.excluded[one.name] for one in table.c if not one.primary_key}
    _execute(connection, added, table, new, rows)


def _execute(
    connection: Connection, added: Any, table: Table, changes: dict[str, Any], rows: Rows
) -> None:
    if not rows:  # a list without rows would be one row without values
        return
    keys = [one.name for one in table.primary_key]
    connection.execute(added.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))
