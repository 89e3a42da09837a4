"""Runs the migrations on the ledger named by `rollout migrate` (or by ROLLOUT_LEDGER_URL)."""

from alembic import context
from sqlalchemy import create_engine

from rollout.adapters.sql import (  # noqa: F401  # their tables and indexes join the metadata
    access_tables,
    drill_tables,
    order_tables,
    partial_indexes,
)
from rollout.adapters.sql.names import VERSION_TABLE
from rollout.adapters.sql.tables import metadata


def run() -> None:
    """Migrate over the given connection, or open one to the given URL."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.begin() as own:
        _migrate(own)
    engine.dispose()


def _migrate(connection: object) -> None:
    context.configure(
        connection=connection,  # type: ignore[arg-type]
        target_metadata=metadata,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
