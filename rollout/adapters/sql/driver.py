"""The hot path on the driver's own cursors: file, claim and commit one job.

Every job pays for these three transactions, and SQLAlchemy's way through one statement costs
several times what SQLite needs to carry it out. So the statements are written with the tables and
compiled once, connections come from SQLAlchemy's pool with its care for forks and restarts, and
only their execution goes straight to the driver. Whatever the driver raises leaves here as the
SQLAlchemy exception it would have been, so that `Database.translated` judges both alike.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeGuard

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    PoolProxiedConnection,
)
from sqlalchemy.sql import ClauseElement

from rollout.adapters.sql.causes import as_sqlalchemy
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.hook_connection import HookConnection, spoiled
from rollout.adapters.sql.names import SCHEMA
from rollout.adapters.sql.sessions import bound_cursor
from rollout.adapters.sql.single_writer import begin_immediate
from rollout.adapters.sql.tables import UtcTime, from_microseconds


class Statement:
    """A statement compiled once; its values are what the driver takes, times as microseconds.

    Args:
        clause: The statement, with a `bindparam` for each value that changes.
        dialect: Whose words it is compiled to.
    """

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        # SQLite looks for a temporary table first: a commit hook may have made one of our names.
        schema = getattr(dialect, SCHEMA, None)
        given: Any = {"schema_translate_map": {None: schema}, "render_schema_translate": True}
        if schema is None:
            given = {}
        compiled: Any = clause.compile(dialect=dialect, **given)
        self.sql: str = compiled.string
        self._order: list[str] | None = compiled.positiontup if compiled.positional else None
        self.constants = {
            name: value.value if isinstance(value, Enum) else value
            for name, value in compiled.params.items()
            if value is not None
        }

    def run(self, cursor: Any, values: Mapping[str, Any]) -> None:
        """Execute once."""
        cursor.execute(self.sql, self._given(values))

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute for each row, in as few round trips as the driver knows."""
        cursor.executemany(self.sql, [self._given(row) for row in rows])

    def _given(self, values: Mapping[str, Any]) -> Any:
        if self.constants:
            values = {**self.constants, **values}
        return values if self._order is None else [values[name] for name in self._order]


class RowReader:
    """Turns the driver's row into the values of the columns' types.

    Args:
        columns: Columns of the select, in order.
        words: Enumerations of the columns that hold one of their words.
    """

    def __init__(
        self, columns: Sequence[ColumnElement[Any]], words: Mapping[str, type[Enum]]
    ) -> None:
        readers = [(at, _reader(column, words)) for at, column in enumerate(columns)]
        self._readers = [(at, reader) for at, reader in readers if reader is not None]

    def read(self, row: Sequence[Any]) -> list[Any]:
        """Give the values, in order."""
        values = list(row)
        for at, reader in self._readers:
            if values[at] is not None:
                values[at] = reader(values[at])
        return values


def _reader(column: Any, words: Mapping[str, type[Enum]]) -> Any:
    if isinstance(column.type, UtcTime):
        return from_microseconds
    if isinstance(column.type, Boolean):
        return bool  # SQLite has numbers only
    return words.get(column.name)


class LazyTransaction:
    """A writing transaction that begins at its first use, and ends without trace unless committed.

    A commit hook that calls an outside service must not hold the single writer's lock of SQLite,
    nor a PostgreSQL connection, while it waits. A hook that asks for the connection gets
    SQLAlchemy's; the statements here then run on the driver's connection under it, in the same
    transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine: Engine | None = None  # once used
        self._connection: HookConnection | None = None
        self._pooled: PoolProxiedConnection | None = None

    def __enter__(self) -> "LazyTransaction":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is not None:
                self._stopped_by(error)
        finally:
            self.close()

    @property
    def begun(self) -> bool:
        """Whether the hook has asked for the connection."""
        return self._connection is not None

    @property
    def broken(self) -> bool:
        """Whether the database went away under the hook."""
        return self._connection is not None and self._connection.invalidated

    def connection(self) -> Connection:
        """SQLAlchemy's connection, its transaction begun: for the user's hook."""
        if self._connection is None:
            with self._database.translated():
                self._engine = self._database.hook_engine
                self._connection = HookConnection(self._engine)
                self._connection.execution_options(rollout_write=True)
                self._connection.enter_hook()
        return self._connection

    def leave_hook(self) -> None:
        """Take the transaction back from the hook, as it was.

        Raises:
            CommitHookError: The hook has ended it, or swallowed an error that spoils it.
            sqlalchemy.exc.DBAPIError: Whatever else the database says.
        """
        if self._connection is None:
            return
        try:
            self._connection.leave_hook()
        except Exception as error:
            made = spoiled(self._connection, error)
            if made is not None:
                raise made from error
            self._stopped_by(error)
            raise

    @property
    def swallowed(self) -> Exception | None:
        """The last error that a statement of the hook has met."""
        return None if self._connection is None else self._connection.swallowed

    def cursor(self) -> Any:
        """A cursor of the driver in this transaction, which is begun when it was not yet."""
        if self._connection is not None:
            return self._connection.connection.cursor()
        if self._pooled is not None:
            return self._pooled.cursor()
        self._engine = self._database.engine
        self._pooled = self._engine.raw_connection()
        cursor = self._pooled.cursor()
        if not self._database.is_postgresql:  # there the driver begins by itself
            begin_immediate(cursor)
        else:
            bound_cursor(self._pooled, cursor)
        return cursor

    def commit(self) -> None:
        """Make everything durable."""
        if self._connection is not None:
            self._connection.commit()
        else:
            assert self._pooled is not None, "commit follows a statement of this transaction"
            self._pooled.commit()

    def close(self) -> None:
        """Give the connection back; the pool rolls back what was not committed."""
        if self._connection is not None:
            self._connection.forsake_hook()
            self._connection.close()
            self._connection = None
        if self._pooled is not None:
            self._pooled.close()
            self._pooled = None

    def _stopped_by(self, error: BaseException) -> None:
        """Raise an error of the driver as SQLAlchemy's; give up a connection that is not whole."""
        if not isinstance(error, Exception):  # stopped in the middle of an answer
            self._give_up(error)
            return
        if self._engine is None or not _is_drivers(error, self._engine):
            return
        pooled = self._connection.connection if self._connection is not None else self._pooled
        driver = None if pooled is None else pooled.dbapi_connection
        database_error, gone = as_database_error(error, self._engine, driver)
        if gone:
            self._give_up(error)
            self._database.drop_idle()
        if database_error is not None:
            raise database_error from error

    def _give_up(self, error: BaseException) -> None:
        if self._connection is not None:
            self._connection.invalidate(error)
        if self._pooled is not None:
            self._pooled.invalidate(error)


def as_database_error(
    error: BaseException, engine: Engine, connection: Any
) -> tuple[Exception | None, bool]:
    """The driver's error as SQLAlchemy's (None for any other), and whether the connection is gone.

    Args:
        error: Whatever was raised.
        engine: Whose driver.
        connection: The driver's connection; None when there was none yet.
    """
    if not _is_drivers(error, engine):
        return None, False
    dialect: Any = engine.dialect
    gone = connection is not None and bool(dialect.is_disconnect(error, connection, None))
    return as_sqlalchemy(error, dialect, gone=gone), gone


def _is_drivers(error: BaseException, engine: Engine) -> TypeGuard[Exception]:
    dialect: Any = engine.dialect
    return isinstance(error, dialect.loaded_dbapi.Error)
