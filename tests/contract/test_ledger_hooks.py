"""What a commit hook may do to the ledger's transaction: write in it, and nothing else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from rollout.errors import CommitHookError
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Committed, ConnectionSource
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import commit, declared, make_written, started, write_line, written

Hook = Callable[[Any], object]


def run(ledger_case: LedgerCase, hook: Hook, job_id: str = "job-1") -> object:
    """Commit a job with a hook that gets the connection."""

    def write(connect: ConnectionSource) -> str:
        hook(connect())
        return '"done"'

    held = started(ledger_case.ledger, job_id)
    return ledger_case.ledger.commit(held, Effects.COMMIT, write, NOW)


@pytest.fixture(autouse=True)
def _declared(ledger_case: LedgerCase) -> None:
    declared(ledger_case.ledger)
    make_written(ledger_case.ledger)


def insert(connection: Any, line: str = "hook") -> None:
    """Write a line; the second of its name is an IntegrityError."""
    connection.execute(text("INSERT INTO written VALUES (:line)"), {"line": line})


ENDINGS: dict[str, Hook] = {
    "commit": lambda c: c.commit(),
    "rollback": lambda c: c.rollback(),
    "close": lambda c: c.close(),
    "begin": lambda c: c.begin(),
    "transaction": lambda c: c.get_transaction().commit(),
    "COMMIT": lambda c: c.execute(text("COMMIT")),
    "comment, rollback": lambda c: c.exec_driver_sql(" -- away with it\n rollback"),
    "END": lambda c: c.execute(text("/* so */ END;")),
}


@on_databases
@pytest.mark.parametrize("how", ENDINGS)
def test_a_hook_cannot_end_the_transaction(ledger_case: LedgerCase, how: str) -> None:
    """It is told so where it tries; nothing of it is written, and the job can be tried again."""

    def hook(connection: Any) -> None:
        insert(connection)
        ENDINGS[how](connection)

    with pytest.raises(CommitHookError, match="leave the ledger's transaction open"):
        run(ledger_case, hook)
    assert written(ledger_case.ledger) == []
    assert ledger_case.ledger.job(NAME, "job-1").state is JobState.STARTED


@on_databases
def test_a_transaction_ended_behind_our_back_is_noticed(ledger_case: LedgerCase) -> None:
    """By the driver's own connection: the job does not count as committed."""

    def hook(connection: Any) -> None:
        insert(connection)
        connection.connection.dbapi_connection.commit()

    with pytest.raises(CommitHookError, match="was ended"):
        run(ledger_case, hook)
    assert ledger_case.ledger.job(NAME, "job-1").state is JobState.STARTED


@on_databases
def test_a_session_works_in_a_savepoint(ledger_case: LedgerCase) -> None:
    """Its rollback takes back its own writes only, its commit ends nothing."""
    with ledger_case.sql.database.write() as connection:
        insert(connection, "there")

    def hook(connection: Any) -> None:
        insert(connection, "before")
        session = Session(bind=connection)
        try:
            insert(session, "there")
            session.commit()
        except IntegrityError:
            session.rollback()
        insert(session, "after")
        session.commit()

    assert run(ledger_case, hook) == Committed('"done"')
    assert written(ledger_case.ledger) == ["after", "before", "there"]


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_swallowed_error_is_the_jobs_error_with_its_words(ledger_case: LedgerCase) -> None:
    """PostgreSQL has given the transaction up: the words are those of the first error."""

    def hook(connection: Any) -> None:
        insert(connection)
        with suppress(IntegrityError):
            insert(connection)

    with pytest.raises(CommitHookError, match=r"IntegrityError.*duplicate key") as caught:
        run(ledger_case, hook)
    assert "begin_nested" in str(caught.value)
    assert written(ledger_case.ledger) == []


@on_databases
def test_a_caught_error_in_a_savepoint_is_none(ledger_case: LedgerCase) -> None:
    """The way that the error's hint names."""

    def hook(connection: Any) -> None:
        insert(connection)
        with suppress(IntegrityError), connection.begin_nested():
            insert(connection)

    assert run(ledger_case, hook) == Committed('"done"')
    assert written(ledger_case.ledger) == ["hook"]


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
@pytest.mark.parametrize("scope", ["", "LOCAL"])
def test_what_a_hook_sets_ends_with_it(ledger_case: LedgerCase, scope: str) -> None:
    """The ledger's own statements find their tables, and the next job's connection is clean."""
    ledger = ledger_case.sql
    with ledger.database.write() as connection:
        for line in ("CREATE SCHEMA tenant", "CREATE TABLE tenant.line (line text)"):
            connection.execute(text(line))

    def hook(connection: Any) -> None:
        connection.execute(text(f"SET {scope} search_path TO tenant"))
        connection.execute(text("INSERT INTO line VALUES ('1')"))
        connection.execute(text(f"SET {scope} statement_timeout = '1234s'"))

    try:
        assert run(ledger_case, hook) == Committed('"done"')
        for _ in range(3):
            with ledger.database.read() as connection:
                shown = [
                    connection.execute(text(f"SHOW {what}")).scalar_one()
                    for what in ("search_path", "statement_timeout")
                ]
            assert shown == ['"$user", public', "1min"]  # our own bound again
    finally:
        with ledger.database.write() as connection:
            connection.execute(text("DROP SCHEMA tenant CASCADE"))


@on_databases
def test_a_temporary_table_of_our_name_is_not_ours(ledger_case: LedgerCase) -> None:
    """A hook that stages its rows in a table named `job` commits its job all the same."""

    def hook(connection: Any) -> None:
        connection.execute(text("CREATE TEMPORARY TABLE job (line TEXT)"))
        connection.execute(text("INSERT INTO job VALUES ('1')"))
        insert(connection)

    try:
        assert run(ledger_case, hook) == Committed('"done"')
    finally:
        ledger_case.sql.database.close()  # SQLite keeps it as long as the connection
    assert ledger_case.ledger.job(NAME, "job-1").state is JobState.COMMITTED
    assert written(ledger_case.ledger) == ["hook"]


TIMEOUTS = {
    "idle_in_transaction_session_timeout": "idle-in-transaction timeout",
    "statement_timeout": "statement timeout",
}


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
@pytest.mark.parametrize("what", TIMEOUTS)
@pytest.mark.parametrize("asks_again", [False, True])
def test_a_hook_that_a_timeout_cuts_off_fails_with_its_words(
    ledger_case: LedgerCase, what: str, asks_again: bool
) -> None:
    """An administrator's limit is no absent ledger: trying again would meet it again."""
    import time

    def hook(connection: Any) -> None:
        connection.execute(text(f"SET {what} = '50ms'"))
        if what == "statement_timeout":
            connection.execute(text("SELECT pg_sleep(2)"))
        time.sleep(0.3)  # the server's clock, which no test can move
        if asks_again:
            connection.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError, match=TIMEOUTS[what]):
        run(ledger_case, hook)
    assert commit(ledger_case.ledger, started(ledger_case.ledger, "job-2")) == Committed('"done"')


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_deferred_constraints_are_checked_before_the_fence(ledger_case: LedgerCase) -> None:
    """What they find is the hook's error, with its words."""
    with ledger_case.sql.database.write() as connection:
        connection.execute(
            text(
                "ALTER TABLE written ADD CONSTRAINT one UNIQUE (line) DEFERRABLE INITIALLY DEFERRED"
            )
        )
        connection.execute(text("ALTER TABLE written DROP CONSTRAINT written_pkey"))

    def hook(connection: Any) -> None:
        insert(connection)
        insert(connection)

    with pytest.raises(IntegrityError, match="duplicate key"):
        run(ledger_case, hook)
    assert written(ledger_case.ledger) == []


def test_a_hook_that_asks_for_nothing_costs_nothing(ledger_case: LedgerCase) -> None:
    """Without the connection there is no savepoint, and in memory there is none at all."""
    held = started(ledger_case.ledger)
    assert commit(ledger_case.ledger, held) == Committed('"done"')

    def write(connect: ConnectionSource) -> str:
        write_line(connect, "one")
        return '"done"'

    second = started(ledger_case.ledger, "job-2")
    ledger_case.ledger.commit(second, Effects.COMMIT, write, NOW)
    assert written(ledger_case.ledger) == ["one"]
