"""Each cause has its sentence: what a server that answers says is never taken for its absence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import OperationalError as PsycopgError
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.clock import SystemClock
from rollout.adapters.redis.store import RedisControlStore
from rollout.adapters.sql.causes import ledger_error
from rollout.adapters.sql.database import Database, ping
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import migrate
from rollout.errors import (
    BrokerUnreachable,
    ControlStoreUnreachable,
    LedgerFault,
    LedgerMisaddressed,
    LedgerNotMigrated,
    LedgerRefuses,
    LedgerUnreachable,
    WrongSettings,
)
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW
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


def said(url: str, *statements: str) -> LedgerUnreachable:
    """What the ledger's error is when these statements, or just the first use, fail."""
    database = Database(url)
    try:
        with database.write() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except LedgerUnreachable as error:
        return error
    finally:
        database.close()
    pytest.fail("the ledger has taken it")


def as_user(url: str, name: str) -> str:
    """The same database for another user."""
    return make_url(url).set(username=name).render_as_string(hide_password=False)


def test_a_missing_right(postgresql: Postgresql, ledger_name: str) -> None:
    """It is no database to be started."""
    postgresql.execute(f"CREATE ROLE reader_{ledger_name} LOGIN")
    url = as_user(postgresql.url(ledger_name), f"reader_{ledger_name}")
    database = Database(url)
    with pytest.raises(LedgerRefuses, match=r"its user may not do this.*grant it"):
        SqlLedger(database).ensure(NAME, Effects.NONE, 500, NOW)
    database.close()
    postgresql.execute(f"DROP ROLE reader_{ledger_name}")


def test_no_connection_left(postgresql: Postgresql, ledger_name: str) -> None:
    """Too many connections are not taken for a server that is down."""
    postgresql.execute(f"CREATE ROLE few_{ledger_name} LOGIN CONNECTION LIMIT 0")
    url = as_user(postgresql.url(ledger_name), f"few_{ledger_name}")
    error = said(url)
    assert isinstance(error, LedgerRefuses)
    assert "it has no connection left" in str(error)
    assert "did not answer" not in str(error)
    postgresql.execute(f"DROP ROLE few_{ledger_name}")


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("EXECUTE nothing_prepared", LedgerFault, "did not take a statement"),
        ("SELECT no_column FROM job", LedgerFault, "did not take a statement"),
        ("SELEC 1", LedgerFault, "did not take a statement"),
        ("SELECT * FROM no_table", LedgerNotMigrated, "rollout migrate"),
        ("SELECT * FROM no_schema.job", LedgerNotMigrated, "rollout migrate"),
    ],
)
def test_a_fault_of_a_statement_is_no_absence(
    postgresql: Postgresql, ledger_name: str, statement: str, kind: type[Exception], words: str
) -> None:
    """As when a pooler gives another session than the one that prepared it."""
    error = said(postgresql.url(ledger_name), statement)
    assert type(error) is kind
    assert words in str(error)
    assert "did not answer" not in str(error)


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ("server login has been failing, try again later", LedgerUnreachable, "did not answer"),
        ("query_wait_timeout", LedgerRefuses, "it has no connection left"),
    ],
)
def test_a_pooler_speaks_for_itself(
    postgresql: Postgresql, ledger_name: str, words: str, kind: type[Exception], told: str
) -> None:
    """pgbouncer 1.18 gives its own words this state, which is else a statement's fault."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '08P01'; END $$"
    error = said(postgresql.url(ledger_name), raised)
    assert type(error) is kind
    assert told in str(error)


def test_a_read_only_server(postgresql: Postgresql, ledger_name: str) -> None:
    """A replica after a failover answers, too."""
    error = said(postgresql.url(ledger_name), "SET TRANSACTION READ ONLY", "DELETE FROM tally")
    assert "it is read-only" in str(error)


def test_a_database_that_is_not_there(postgresql: Postgresql) -> None:
    """Its server is, and says so."""
    assert "there is no database of this name" in str(said(postgresql.url("nowhere")))


def test_a_fault_on_sqlite(tmp_path: Path) -> None:
    """SQLite calls a mistake in a statement an operational error."""
    database = Database(f"sqlite:///{tmp_path}/l.db")
    migrate(database)
    database.close()
    assert type(said(f"sqlite:///{tmp_path}/l.db", "SELECT nothing FROM job")) is LedgerFault


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://u:pw@h:$PORT/db", "postgresql+psycopg://u:pw@h:54 32/db"],
)
def test_a_port_that_is_no_number(url: str) -> None:
    """An unescaped password ends in the port's place; it is not repeated."""
    with pytest.raises(WrongSettings, match=r"port.*must be a number") as caught:
        Database(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("said_", "right"), [("0", 0), ("none", None)])
def test_how_statements_are_prepared_can_be_said(
    postgresql: Postgresql, ledger_name: str, said_: str, right: int | None
) -> None:
    """`prepare_threshold` in the URL is a number to psycopg, not its text."""
    url = postgresql.url(ledger_name)
    database = Database(f"{url}{'&' if '?' in url else '?'}prepare_threshold={said_}")
    ping(database)
    with database.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.prepare_threshold == right
    database.close()


def test_a_wrong_way_of_preparing() -> None:
    """It is a sentence, not a traceback."""
    with pytest.raises(WrongSettings, match="must be a number or none, got 'often'"):
        Database("postgresql+psycopg://h/db?prepare_threshold=often")


def test_a_store_that_refuses(valkey_url: str) -> None:
    """A user without the right, and one with the wrong password."""
    from redis import Redis

    admin: Any = Redis.from_url(valkey_url, protocol=2)
    admin.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~other:*", "+@all")
    try:
        for user, words in (
            ("few:pw", "refuses this user a command or a key"),
            ("few:no", "lets this user not in"),
        ):
            store = RedisControlStore(valkey_url.replace("://", f"://{user}@"))
            with pytest.raises(ControlStoreUnreachable, match=words) as caught:
                store.latches()
            assert "did not answer" not in str(caught.value)
            store.close()
    finally:
        admin.execute_command("ACL", "DELUSER", "few")
        admin.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sentinel://h:26379/0", "add .master_name=NAME"),
        ("redis+cluster://h:7000", "a Redis Cluster is no store"),
        ("redis://h:port/0", "control store must be"),
        ("redis://h/0?nonsense=1", "an option that is not known, 'nonsense'"),
        ("amqp://h//", "control store must be"),
    ],
)
def test_an_address_that_is_no_store(url: str, words: str) -> None:
    """Whatever is wrong in it is a sentence."""
    with pytest.raises(WrongSettings, match=words):
        RedisControlStore(url)


@pytest.mark.parametrize("url", ["redis://:Pw1/x@h:1/0", "redis://u:Pw1/x@h/0"])
def test_a_slash_in_a_password_is_not_repeated(url: str) -> None:
    """Python reads what stands before it as the port, and would show it."""
    with pytest.raises(WrongSettings, match="write / as %2F") as caught:
        RedisControlStore(url)
    assert "Pw1" not in str(caught.value)
    with pytest.raises(BrokerUnreachable) as away:
        KombuQueues(url, SystemClock()).ping()
    assert "Pw1" not in str(away.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("nonsense=1", 'invalid connection option "nonsense"'),
        ("sslmode=sometimes", "invalid sslmode value"),
        ("service=none", 'definition of service "none" not found'),
    ],
)
def test_an_option_of_the_url(postgresql: Postgresql, option: str, words: str) -> None:
    """None of these is mended by starting the database."""
    error = said(f"{postgresql.url('postgres')}&{option}")
    assert type(error) is LedgerMisaddressed
    assert words in str(error)
    assert "start the database" not in str(error)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("server does not support SSL, but SSL was required", "it offers no TLS"),
        ("SSL error: certificate verify failed", "its certificate is not trusted"),
        ("terminating connection due to idle-in-transaction timeout", "for idle sessions"),
    ],
)
def test_a_session_that_was_refused_or_ended(words: str, told: str) -> None:
    """The server speaks, in words that have no SQL state."""
    cause = PsycopgError(words)
    error = ledger_error("u", DBAPIError(None, None, cause))
    assert type(error) is LedgerRefuses
    assert told in str(error)


def test_one_cause_is_one_sentence(postgresql: Postgresql, ledger_name: str) -> None:
    """What PostgreSQL shows of the statement would tell the same cause once for each."""
    postgresql.execute(f"CREATE ROLE out_{ledger_name} LOGIN")
    url = as_user(postgresql.url(ledger_name), f"out_{ledger_name}")
    first, second = (said(url, f"SELECT {what} FROM job") for what in ("1", "job_id"))
    assert str(first) == str(second)
    assert "LINE" not in str(first)
    postgresql.execute(f"DROP ROLE out_{ledger_name}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("command not allowed when used memory > 'maxmemory'.", "no memory left to write"),
        ("unknown command 'EVALSHA', with args beginning with:", "command that is needed"),
        ("NOREPLICAS Not enough good replicas to write.", "fewer replicas than it wants"),
        ("MISCONF Redis is configured to save RDB snapshots", "cannot write its memory to disk"),
        ("LOADING Redis is loading the dataset in memory", "still loads what it kept"),
        ("DB index is out of range", "no database of this number"),
        ("Keys in request don't hash to the same slot", "a node of a Redis Cluster"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify", "certificate is not trusted"),
        (
            "Basic.publish: (403) ACCESS_REFUSED - access to exchange 'x' in",
            "a queue or an exchange",
        ),
        ("(403) ACCESS_REFUSED - Login was refused using", "lets this user not in"),
    ],
)
def test_what_a_server_refuses(words: str, told: str) -> None:
    """It answers, so nobody has to start it."""
    for error in (
        ControlStoreUnreachable("u", OSError(words)),
        BrokerUnreachable("u", OSError(words)),
    ):
        assert told in str(error)
        assert "did not answer" not in str(error)


@pytest.mark.parametrize(
    "url", ["sentinel://127.0.0.1:1", "redis://h:port/0", "nothing://h", "amqp://h:port//"]
)
def test_an_address_that_is_no_broker(url: str) -> None:
    """It is a broker that cannot be reached: a kill goes on without it."""
    with pytest.raises(BrokerUnreachable):
        KombuQueues(url, SystemClock()).ping()
