"""A ledger behind pgbouncer that lends a session for a transaction: nothing outlives one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from rollout.adapters.sql.database import Database, is_pooled
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import migrate, newest
from rollout.errors import LedgerRefuses, LedgerUnreachable
from rollout.jobs.claims import Claim, JobState
from rollout.jobs.ports import Committed, ConnectionSource
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of
from tests.conftest import postgresql_folder
from tests.crash.children import Children
from tests.crash.servers import Postgres, wait_for_port
from tests.plants import debian
from tests.ports import free_port

pytestmark = pytest.mark.plants

L = JobPath.LEGACY


class Pooled:
    """PostgreSQL on TCP and a pgbouncer before it."""

    def __init__(self, folder: Path) -> None:
        debian.install()
        self._folder = folder
        self.children = Children(folder / "logs")
        self.postgres = Postgres(folder, free_port())
        self.port = free_port()
        self.direct = self.postgres.url()
        self.url = self.postgres.url(self.port)

    def start(self) -> None:
        """Start both."""
        folder = self._folder
        self.postgres.create()
        user = self.postgres.user
        self.children.start(
            "postgres", self.postgres.command(), {}, user=user, group=user, cwd=folder
        )
        self.postgres.wait()
        one = debian.pgbouncer(folder / "pool", self.port, self.postgres.port)
        self.children.start("pool", one.words, one.env, user=one.user, cwd=one.folder)
        wait_for_port(self.port, 60)


@pytest.fixture(scope="module")
def pooled() -> Iterator[Pooled]:
    """Started once; the ledger is migrated through the pooler."""
    with postgresql_folder() as data:
        folder = data.parent
        made = Pooled(folder)
        try:
            made.start()
            database = Database(made.url)
            assert migrate(database) == newest()
            with database.write() as connection:
                connection.execute(text("CREATE TABLE written (line TEXT)"))
            database.close()
            yield made
        finally:
            made.children.end()


def one_life(ledger: SqlLedger, job_id: str) -> None:
    """File, claim and commit with a hook; every transaction may have another session."""
    ledger.file([filing(job_id, L)])
    claim = ledger.claim(NAME, job_id, L, Effects.COMMIT, "w", NOW, SILENT_AFTER)
    assert isinstance(claim, Claim)

    def write(connect: ConnectionSource) -> str:
        connection = connect()
        connection.execute(text("SET search_path TO pg_catalog"))
        connection.execute(text("SET statement_timeout = '7s'"))
        connection.execute(text("INSERT INTO public.written VALUES (:line)"), {"line": job_id})
        return "1"

    assert isinstance(ledger.commit(claim, Effects.COMMIT, write, NOW), Committed)


def test_many_clients_share_few_sessions(pooled: Pooled) -> None:
    """Eight threads of four ledgers, thirty jobs each: nobody meets another's statements."""
    ledgers = [SqlLedger(Database(pooled.url)) for _ in range(4)]
    ledgers[0].ensure(NAME, Effects.COMMIT, 500, NOW)

    def lives(number: int) -> None:
        for job in range(30):
            one_life(ledgers[number % 4], f"job-{number}-{job}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lives, range(8)))
    assert ledgers[0].job(NAME, "job-0-0").state is JobState.COMMITTED
    with ledgers[0].database.read() as connection:
        lines = connection.execute(
            text("SELECT count(*) FROM written WHERE line LIKE 'job-%'")
        ).scalar_one()
    assert lines == 240
    for ledger in ledgers:
        ledger.close()


def test_it_is_noticed_and_nothing_is_prepared(pooled: Pooled) -> None:
    """Before a pooler as without one; what the URL says goes first."""
    direct, lent = Database(pooled.direct), Database(pooled.url)
    assert (is_pooled(direct), is_pooled(lent)) == (False, True)
    for _ in range(20):
        lent_ledger = SqlLedger(lent)
        lent_ledger.controls()
    with direct.read() as connection:
        query = text("SELECT count(*) FROM pg_prepared_statements")
        assert connection.execute(query).scalar_one() == 0
    with lent.read() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.prepare_threshold is None
    direct.close()
    lent.close()


def test_nothing_that_is_set_stays_with_the_session(pooled: Pooled) -> None:
    """Another client of the pooler finds the server's own limits and search path."""
    database = Database(pooled.url)
    ledger = SqlLedger(database)
    ledger.ensure(NAME, Effects.COMMIT, 500, NOW)
    one_life(ledger, "leaves nothing")
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with database.read() as connection:
        inside = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    assert inside == ["3s", "1min", "5s"]
    database.close()
    other = create_engine(pooled.url)
    with other.connect() as connection:
        found = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
        path = connection.execute(text("SHOW search_path")).scalar_one()
    other.dispose()
    assert found == ["0", "0", "0"]
    assert path == '"$user", public'


def test_a_kill_says_who_is_in_its_way(pooled: Pooled) -> None:
    """The server process that waits is asked for in the transaction, not taken from the pooler."""
    ledger = SqlLedger(Database(pooled.url))
    ledger.ensure(NAME, Effects.COMMIT, 500, NOW)
    psql = create_engine(pooled.direct, connect_args={"application_name": "psql"})
    told: list[str] = []
    with psql.connect() as holder:
        holder.execute(text("SELECT 1 FROM sub_pipeline WHERE name = 'invoices' FOR UPDATE"))
        with pytest.raises(LedgerUnreachable, match="psql"):
            ledger.kill(kill_of(), patience_s=2.0, waiting=told.append)
        holder.rollback()
    assert "psql" in told[0]
    assert ledger.kill(kill_of(), patience_s=2.0)
    psql.dispose()
    ledger.close()


def test_a_database_that_the_pooler_cannot_give(pooled: Pooled) -> None:
    """Its words become a sentence."""
    url = make_url(pooled.url).set(database="nowhere").render_as_string(hide_password=False)
    ledger = SqlLedger(Database(url))
    with pytest.raises(LedgerRefuses, match="no database of this name"):
        ledger.controls()
    ledger.close()
