"""The ledger's database is away, empty, or goes away in the middle."""

from pathlib import Path

import pytest

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.errors import LedgerNotMigrated, LedgerUnreachable
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Committed, ConnectionSource
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing, kill_of
from tests.conftest import Postgresql
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import (
    claim,
    commit,
    declared,
    make_written,
    started,
    write_line,
    written,
)


def test_every_call_says_that_the_database_is_away(ledger_case: LedgerCase) -> None:
    """Only LedgerUnreachable crosses the port; afterwards everything goes on."""
    ledger = ledger_case.ledger
    declared(ledger)
    held = started(ledger)
    ledger_case.cut_off()
    for act in (
        lambda: ledger.ensure("bills", Effects.NONE, 0, NOW),
        lambda: ledger.control(NAME),
        lambda: ledger.kill(kill_of()),
        lambda: ledger.file([filing("job-2")]),
        lambda: claim(ledger),
        lambda: commit(ledger, held),
        lambda: ledger.job(NAME, "job-1"),
        lambda: ledger.fold(1),
        ledger_case.ping,
    ):
        with pytest.raises(LedgerUnreachable, match="start the database"):
            act()
    ledger_case.bring_back()
    assert commit(ledger, held) == Committed('"done"')


@pytest.mark.parametrize("opened", [False, True])
def test_a_database_that_goes_away_under_a_hook_can_be_tried_again(
    ledger_case: LedgerCase, opened: bool
) -> None:
    """It is an absent ledger, not an error of the hook; the second try commits once."""
    ledger = ledger_case.ledger
    if opened and not ledger_case.own.open_can_go_away:
        return  # nobody can take an open file from under SQLite
    declared(ledger)
    make_written(ledger)
    held = started(ledger)
    tries = []

    def write(connect: ConnectionSource) -> str:
        tries.append(1)
        if opened:
            connect()
        if len(tries) == 1:
            ledger_case.cut_off()
        write_line(connect, f"try {len(tries)}")
        return "1"

    with pytest.raises(LedgerUnreachable):
        ledger.commit(held, Effects.COMMIT, write, NOW)
    ledger_case.bring_back()
    assert ledger.commit(held, Effects.COMMIT, write, NOW) == Committed("1")
    assert written(ledger) == ["try 2"]
    assert ledger.job(NAME, "job-1").state is JobState.COMMITTED


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_ledger_without_tables_says_what_to_run(
    kind: str, tmp_path: Path, postgresql: Postgresql
) -> None:
    """It answers, so the hint is to migrate; it still counts as unreachable."""
    name = postgresql.create()
    url = f"sqlite:///{tmp_path}/empty.db" if kind == "sqlite" else postgresql.url(name)
    (tmp_path / "empty.db").touch()
    ledger = SqlLedger(Database(url))
    for act in (ledger.controls, lambda: claim(ledger), lambda: ledger.file([filing()])):
        with pytest.raises(LedgerNotMigrated, match="rollout migrate"):
            act()
    ledger.close()
    postgresql.drop(name)


def test_a_password_is_not_shown() -> None:
    """Messages name the database and no secret."""
    ledger = SqlLedger(Database("postgresql+psycopg://ada:secret@db.example/ledger"))
    assert ledger.url == "postgresql+psycopg://ada:***@db.example/ledger"


def test_a_server_that_never_answers_is_given_up(black_hole: int) -> None:
    """Connecting is bounded, so that a kill and a worker get on."""
    ledger = SqlLedger(Database(f"postgresql+psycopg://a@127.0.0.1:{black_hole}/ledger"))
    with pytest.raises(LedgerUnreachable):
        ledger.controls()
    ledger.close()
