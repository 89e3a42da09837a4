"""What people type is stored, whatever it is; a database that cannot hold text is refused."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.migrate import current, migrate
from rollout.adapters.sql.tables import metadata
from rollout.adapters.sql.words import storable
from rollout.errors import WrongSettings
from rollout.jobs.ports import Ledger
from rollout.routing.effects import Effects
from rollout.routing.ports import Kill
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, filing
from tests.conftest import Postgresql
from tests.contract.ledger_acts import declared

TYPED = ("🔥 totals", "a\x00b", "lone \ud83d surrogate", "\x1b[31mred", "x" * 100_000, "ž\n\t")


@pytest.mark.parametrize("typed", TYPED)
def test_whatever_a_person_types_is_stored(ledger: Ledger, typed: str) -> None:
    """Reason and actor of changes, kills and rearms; the log can be read, and encoded."""
    declared(ledger)
    ledger.change(NAME, Event.FREEZE, typed, typed, NOW)
    ledger.kill(Kill("kill-1", NAME, typed, typed, NOW))
    ledger.rearm(NAME, typed, typed, NOW)
    ledger.keep_message("invoices.legacy", typed, typed, typed, NOW)
    for record in ledger.transitions(NAME, 3):
        assert record.reason
        assert record.actor
    assert len(ledger.kept_messages(5)) == 1


def test_words_that_fit_are_stored_to_the_letter() -> None:
    """Only what no database holds is written out, and only what is too long is cut."""
    assert storable("🔥 é\n", 10) == "🔥 é\n"
    assert storable("a\x00b") == "a\\x00b"
    assert storable("\ud83d!") == "\\ud83d!"
    assert storable("abcdefgh", 5) == "ab..."


def test_a_failure_whose_words_cannot_be_stored_is_kept(ledger: Ledger) -> None:
    """An exception's text may hold anything."""
    declared(ledger)
    ledger.file([filing()])
    assert ledger.fail(NAME, "job-1", None, None, "boom \x00 \ud83d", NOW)
    assert "boom" in str(ledger.job(NAME, "job-1").error)


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_encoding(request: pytest.FixtureRequest, postgresql: Postgresql) -> Iterator[Database]:
    """A database of another encoding."""
    name = f"enc_{request.param.lower()}"
    postgresql.execute(
        f"CREATE DATABASE {name} ENCODING '{request.param}' TEMPLATE template0 LOCALE 'C'"
    )
    database = Database(postgresql.url(name))
    yield database
    database.close()
    postgresql.drop(name)


def test_a_database_that_is_not_utf8_is_refused(other_encoding: Database) -> None:
    """`migrate` says what was expected, what came and what to do, and changes nothing."""
    with pytest.raises(WrongSettings, match="must be a database with encoding UTF8, got"):
        migrate(other_encoding)
    assert current(other_encoding) is None


def test_a_kill_on_a_database_that_is_not_utf8_holds(other_encoding: Database) -> None:
    """One that an older release has migrated: an emoji in the reason is written out."""
    ledger = SqlLedger(other_encoding)
    with other_encoding.write() as connection:
        metadata.create_all(connection)
    ledger.ensure(NAME, Effects.NONE, 500, NOW)
    assert ledger.kill(Kill("kill-1", NAME, "ada", "🔥 totals", NOW))[0].killed
    record = ledger.transitions(NAME, 1)[0]
    assert "totals" in record.reason
    with other_encoding.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM transition")).scalar_one() == 1
