"""A database that takes a statement and does not answer: a pooler without a session, say."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollout.adapters.sql import first_answer
from rollout.adapters.sql.database import Database
from rollout.errors import LedgerUnreachable
from tests.conftest import Postgresql


@pytest.fixture
def database(postgresql: Postgresql) -> Iterator[Database]:
    """The shared ledger, by connections of its own."""
    ours = Database(postgresql.url(postgresql.shared))
    yield ours
    ours.close()


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop a process of the server; its sockets stay open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def backend_of(database: Database) -> int:
    """The server process of the one connection that the pool has."""
    with database.read() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def test_a_transaction_that_gets_no_answer_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a producer would hang for as long as the pooler likes; then all is as before."""
    monkeypatch.setattr(first_answer, "BEGIN_S", 0.3)
    backend = backend_of(database)
    with (
        paused(backend),
        pytest.raises(LedgerUnreachable, match=r"no answer within 0\.3 s"),
        database.write() as connection,
    ):
        connection.exec_driver_sql("SELECT 1")
    assert backend_of(database) != backend


def test_a_long_statement_is_none_that_gets_no_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BEGIN was answered: what comes after it is bounded by the server."""
    monkeypatch.setattr(first_answer, "BEGIN_S", 0.2)
    began = time.monotonic()
    with database.write() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(0.6)")
    assert time.monotonic() - began >= 0.6


def test_a_lane_statement_is_bounded_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is its own transaction, and waits longer, because locks come before its answer."""
    monkeypatch.setattr(first_answer, "STATEMENT_S", 0.3)
    sessions = database.lane
    session = sessions.take()
    assert session is not None
    session.cursor.execute("SELECT pg_backend_pid()")
    ((backend,),) = session.cursor.fetchall()
    with paused(backend), pytest.raises(Exception, match=r"no answer within 0\.3 s") as raised:
        session.cursor.execute("SELECT 1")
    sessions.give_up(session, raised.value)


def test_a_kill_says_what_it_waits_for(postgresql: Postgresql) -> None:
    """Nobody answers its connection: it says so soon, and ends."""
    told: list[tuple[float, str]] = []
    fresh = Database(postgresql.url(postgresql.shared))
    began = time.monotonic()
    with (
        paused(postgresql.pid),
        pytest.raises(LedgerUnreachable),
        fresh.write_soon(3.0, lambda who: told.append((time.monotonic() - began, who))),
    ):
        pytest.fail("nothing has begun")
    fresh.close()
    ((after_s, sentence),) = told
    assert after_s < 1.5
    assert sentence.startswith("the database to answer")
    assert time.monotonic() - began < 8
