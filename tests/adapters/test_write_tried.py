"""`doctor` tries whether ledger and control store take writes: an answer alone says nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import NullPool, create_engine, make_url, text

from rollout.adapters.redis.store import RedisControlStore
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from rollout.adapters.sql.rights import ledgers_elsewhere, refused_to
from rollout.errors import ControlStoreUnreachable
from tests.conftest import Postgresql


@pytest.fixture
def ledger_name(postgresql: Postgresql) -> Iterator[str]:
    """A migrated database of its own."""
    name = postgresql.create()
    database = Database(postgresql.url(name))
    migrate(database)
    database.close()
    yield name
    postgresql.drop(name)


@pytest.fixture
def role(postgresql: Postgresql, ledger_name: str) -> Iterator[str]:
    """A role that may do nothing yet."""
    name = f"role_{ledger_name}"
    postgresql.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    inside(postgresql, ledger_name, f"DROP OWNED BY {name}")
    postgresql.execute(f"DROP ROLE {name}")


def inside(postgresql: Postgresql, ledger_name: str, statement: str) -> None:
    """Run a statement in this database as its owner."""
    engine = create_engine(postgresql.url(ledger_name), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement))


def refused(postgresql: Postgresql, ledger_name: str, role: str | None = None) -> tuple[str, ...]:
    """What the ledger would refuse to this role; without one, to its owner."""
    url = make_url(postgresql.url(ledger_name))
    url = url if role is None else url.set(username=role)
    database = Database(url.render_as_string(hide_password=False))
    try:
        return refused_to(database)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("granted", "phrases"),
    [
        ("SELECT", ("may not INSERT", "may not UPDATE", "may not DELETE", "may not use")),
        ("SELECT, INSERT, UPDATE", ("may not DELETE", "may not use")),
        ("SELECT, INSERT, UPDATE, DELETE", ("may not use",)),
    ],
)
def test_missing_rights_are_named(
    postgresql: Postgresql, ledger_name: str, role: str, granted: str, phrases: tuple[str, ...]
) -> None:
    """Each right that is missing, and the first tables or sequences that it is missing of."""
    inside(postgresql, ledger_name, f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO {role}")
    told = refused(postgresql, ledger_name, role)
    assert len(told) == len(phrases)
    assert all(phrase in one for phrase, one in zip(phrases, told, strict=True))
    assert all("more" in one or "_id_seq" in one for one in told)


def test_the_rights_of_the_page_are_enough(
    postgresql: Postgresql, ledger_name: str, role: str
) -> None:
    """Owner and a user with what docs/plants.md lists are refused nothing."""
    for what in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE ON ALL SEQUENCES"):
        inside(postgresql, ledger_name, f"GRANT {what} IN SCHEMA public TO {role}")
    assert refused(postgresql, ledger_name, role) == ()
    assert refused(postgresql, ledger_name) == ()


def test_a_server_that_is_read_only(postgresql: Postgresql, ledger_name: str) -> None:
    """A default that somebody has set answers every question and takes nothing."""
    postgresql.execute(f"ALTER DATABASE {ledger_name} SET default_transaction_read_only = on")
    (told,) = refused(postgresql, ledger_name)
    assert "read-only" in told


def test_a_ledger_outside_the_search_path(postgresql: Postgresql, ledger_name: str) -> None:
    """A second one would be migrated beside it, and know nothing of the first's kills."""
    database = Database(postgresql.url(ledger_name))
    assert ledgers_elsewhere(database) == ()
    database.close()
    postgresql.execute(f"ALTER DATABASE {ledger_name} SET search_path = nowhere")
    database = Database(postgresql.url(ledger_name))
    assert ledgers_elsewhere(database) == ("public",)
    database.close()


def test_a_store_that_takes_all_keeps_nothing_of_it(valkey_url: str) -> None:
    """What is tried is under no name that anybody reads, least of all a kill's."""
    store = RedisControlStore(valkey_url)
    client: Any = Redis.from_url(valkey_url, protocol=2)
    # A store that refuses DEL, of another test, keeps one for a second.
    others = set(client.keys("rollout:tried:*"))
    before = store.latches()
    store.try_write()
    assert store.latches() == before
    store.close()
    assert set(client.keys("rollout:tried:*")) <= others
    client.close()


@pytest.mark.parametrize("lacks", ["set", "eval", "del", "scan"])
def test_a_store_that_answers_and_refuses_writes(valkey_url: str, lacks: str) -> None:
    """A ping and the reading of a state pass; a kill or its end would not."""
    admin: Any = Redis.from_url(valkey_url, protocol=2)
    admin.execute_command("ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", f"-{lacks}")
    if lacks == "eval":
        admin.execute_command("ACL", "SETUSER", "some", "-evalsha")
    store = RedisControlStore(valkey_url.replace("://", "://some:pw@"))
    try:
        store.ping()
        with pytest.raises(ControlStoreUnreachable, match="refuses this user a command"):
            store.try_write()
    finally:
        store.close()
        admin.execute_command("ACL", "DELUSER", "some")
        admin.close()
