"""Bring a ledger to the schema this release needs, with the Alembic scripts in `migrations/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from rollout.adapters.sql.beginnings import settle, version_in
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.waits import unbound
from rollout.adapters.sql.words import UTF8, encoding_of
from rollout.errors import WrongSettings


def _folder() -> Path:
    """An installed package carries the scripts inside; a checkout has them beside the package."""
    package = Path(__file__).parents[2]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()))
    config.set_main_option("sqlalchemy.url", database.url.replace("%", "%%"))
    return config


def newest() -> str:
    """Revision this release needs."""
    config = Config()
    config.set_main_option("script_location", str(_folder()))
    return ScriptDirectory.from_config(config).get_current_head() or ""


def current(database: Database) -> str | None:
    """Revision the ledger is at, None without tables. Raises LedgerUnreachable."""
    with database.read() as connection:
        return version_in(connection, database.schema)


def migrate(database: Database, to: str = "head") -> str:
    """Upgrade the ledger and give its revision; doing it twice changes nothing.

    Raises:
        LedgerUnreachable: The database does not answer.
        WrongSettings: A newer release has migrated it, its encoding is not UTF-8, or somebody
            else's tables have the names that it needs.
    """
    config = _config(database)
    database.begin_file()
    if current(database) is None:
        database.begin_beside()
    wrong = wrong_encoding(database)
    if wrong is not None:
        raise WrongSettings(*wrong)
    try:
        with database.write() as connection:
            if database.is_postgresql:
                unbound(connection)  # an index of millions of jobs takes minutes
            settle(database, connection)
            _look_in(database, connection)
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    except CommandError as error:  # a newer release has migrated it, or `to` is no revision
        raise WrongSettings(
            f"the ledger at {database.url} is at migration {current(database)}, "
            f"this release knows up to {newest()}: {error}",
            "use the release that migrated it, or a newer one",
        ) from error
    return current(database) or ""


def wrong_encoding(database: Database) -> tuple[str, str] | None:
    """What is wrong with a database of another encoding, and what to do; None when it is UTF-8."""
    with database.read() as connection:
        found = encoding_of(connection)
    if found == UTF8:
        return None
    return (
        f"the ledger at {database.url} must be a database with encoding UTF8, got {found}",
        "create one: `createdb --encoding UTF8 --template template0 NAME`",
    )


def downgrade(database: Database, to: str) -> None:
    """Take the ledger back to an older revision; what newer columns held is lost."""
    config = _config(database)
    with database.write() as connection:
        _look_in(database, connection)
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def _look_in(database: Database, connection: Connection) -> None:
    """Let names in the scripts mean tables of our schema, to the end of this transaction."""
    if database.schema is not None:
        connection.execute(text(f'SET LOCAL search_path TO "{database.schema}"'))
