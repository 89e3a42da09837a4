"""A kill that somebody holds up: it ends in time, says who, and never loses to a rearm."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from rollout.adapters.sql import waits
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.ledger import SqlLedger
from rollout.errors import LedgerBusy, LedgerUnreachable
from rollout.jobs.claims import Refusal
from rollout.jobs.ports import Committed
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.shadow.ports import ShadowBegun, ShadowEnd, ShadowRun
from tests.builders import NAME, NOW, filing, kill_of, running
from tests.contract.conftest import LedgerCase
from tests.contract.ledger_acts import LATER, C, claim, commit, declared, refusal_of, started
from tests.waiting import wait_until

on_postgresql = pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)


@contextmanager
def session(case: LedgerCase, application: str = "psql") -> Iterator[Connection]:
    """A session beside the ledger's own, in a transaction; rolled back in the end."""
    url = case.sql.database.engine.url.render_as_string(hide_password=False)
    engine = create_engine(url, connect_args={"application_name": application})
    with closing(engine.connect()) as connection:
        connection.begin()
        yield connection
    engine.dispose()


def hold_row(connection: Connection, name: str = NAME) -> None:
    """Lock a control row, as `SELECT ... FOR UPDATE` in a forgotten psql does."""
    connection.execute(
        text("SELECT 1 FROM sub_pipeline WHERE name = :name FOR UPDATE"), {"name": name}
    )


def waiting_sessions(case: LedgerCase) -> int:
    """How many of our sessions wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    with case.sql.database.read() as connection:
        return int(connection.execute(text(query)).scalar_one())


@on_postgresql
def test_a_kill_behind_a_row_lock_says_who_holds_it_and_gives_up(ledger_case: LedgerCase) -> None:
    """It says so within a second, ends within its patience, and the same kill can be repeated."""
    declared(ledger_case.ledger)
    heard: list[tuple[float, str]] = []
    began = time.monotonic()
    with session(ledger_case) as other:
        hold_row(other)
        with pytest.raises(LedgerBusy) as busy:
            ledger_case.ledger.kill(
                kill_of(),
                patience_s=1.5,
                waiting=lambda who: heard.append((time.monotonic() - began, who)),
            )
        assert time.monotonic() - began < 6
        ((after_s, who),) = heard
        assert after_s < 1.4
        pid = other.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        assert f"session {pid} (psql, user" in who
        assert "idle in transaction" in who
        assert busy.value.blockers
        assert str(pid) in str(busy.value)
    assert ledger_case.ledger.kill(kill_of())[0].killed


@on_postgresql
@pytest.mark.parametrize("of_all", [False, True])
def test_a_table_lock_holds_a_kill_up_no_longer(ledger_case: LedgerCase, of_all: bool) -> None:
    """A migration that rewrites the table is a session like any other."""
    declared(ledger_case.ledger)
    with session(ledger_case, "migration") as other:
        other.execute(text("LOCK TABLE sub_pipeline IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(LedgerBusy, match="migration"):
            ledger_case.ledger.kill(kill_of(None if of_all else NAME), patience_s=1)


@on_postgresql
@pytest.mark.parametrize("held", ["control row", "job behind a commit", "fence"])
def test_a_client_of_ours_that_was_frozen_is_ended(ledger_case: LedgerCase, held: str) -> None:
    """Frozen in renew, change or decide it holds rows outside the fence; its session goes."""
    ledger = ledger_case.ledger
    declared(ledger)
    mine = started(ledger)
    committed: list[object] = []
    with session(ledger_case, waits.OUR_NAME) as frozen, ThreadPoolExecutor(1) as pool:
        if held == "control row":
            hold_row(frozen)
        elif held == "fence":
            from rollout.adapters.sql.control_rows import lock_fence

            lock_fence(ledger_case.sql.database, frozen, NAME, shared=True)
        else:
            frozen.execute(text("UPDATE job SET renewed_at = 1"))
            late = pool.submit(commit, ledger, mine)
            wait_until(lambda: waiting_sessions(ledger_case) == 1, "the commit waits for the row")
        began = time.monotonic()
        assert ledger.kill(kill_of(), patience_s=10)[0].killed
        assert time.monotonic() - began < 4
        if held == "job behind a commit":
            committed.append(late.result(10))
        frozen.invalidate()
    assert all(isinstance(one, Committed) for one in committed)


@on_postgresql
def test_every_session_of_ours_has_bounds(ledger_case: LedgerCase) -> None:
    """No statement waits for ever: not for a lock, not for its own end, not for a frozen client."""
    with ledger_case.sql.database.read() as connection:
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            setting = connection.execute(text(f"SHOW {name}")).scalar_one()
            assert setting not in ("0", None), name


@on_postgresql
def test_other_writers_are_told_that_somebody_holds_a_lock(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change, a claim and a renewal behind a forgotten transaction end: the ledger is busy."""
    ledger = ledger_case.ledger
    declared(ledger)
    ledger.file([filing("job-2")])
    started(ledger)
    monkeypatch.setitem(waits._SET, "lock_timeout", 300)
    ledger_case.sql.database.close()
    acts: tuple[Callable[[], object], ...] = (
        lambda: ledger.change(NAME, Event.FREEZE, "ada", "", NOW),
        lambda: claim(ledger, "job-2"),
        lambda: ledger.renew([running()], LATER),
    )
    with session(ledger_case) as other:
        hold_row(other)
        other.execute(text("UPDATE job SET renewed_at = 1"))
        for act in acts:
            with pytest.raises(LedgerUnreachable, match="somebody holds"):
                act()
    assert refusal_of(claim(ledger, "job-2")) is None


@on_postgresql
def test_a_hook_may_wait_longer_than_we_do(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds are of our statements; a hook's own are its own."""
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        monkeypatch.setitem(waits._SET, name, 200)
    ledger_case.sql.database.close()
    declared(ledger_case.ledger)
    mine = started(ledger_case.ledger)

    def slow(connect: Callable[[], Connection]) -> str:
        connect().execute(text("SELECT pg_sleep(0.5)"))
        threading.Event().wait(0.5)
        return '"done"'

    got = ledger_case.ledger.commit(mine, Effects.COMMIT, slow, NOW)
    assert got == Committed('"done"')


@on_postgresql
def test_deferred_constraints_are_checked_before_the_fence(ledger_case: LedgerCase) -> None:
    """One that waits for another job's row at COMMIT would hold up the kill under the fence."""
    ledger = ledger_case.ledger
    declared(ledger)
    mine = started(ledger)
    with ledger_case.sql.database.write() as connection:
        connection.execute(
            text("CREATE TABLE written (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )

    def hook(connect: Callable[[], Connection]) -> str:
        connect().execute(text("INSERT INTO written VALUES (1)"))
        return "null"

    with session(ledger_case, "shop") as other, ThreadPoolExecutor(1) as pool:
        other.execute(text("INSERT INTO written VALUES (1)"))
        late = pool.submit(ledger.commit, mine, Effects.COMMIT, hook, NOW)
        wait_until(lambda: waiting_sessions(ledger_case) == 1, "the check waits for the other row")
        assert ledger.kill(kill_of(), patience_s=2)[0].killed
        other.rollback()
        assert late.result(10) is Refusal.KILLED


@on_postgresql
def test_a_rearm_of_all_leaves_a_kill_that_has_just_returned(ledger_case: LedgerCase) -> None:
    """Two operators at once: what one killed by itself the other's `rearm --all` does not lift."""
    ledger, other = ledger_case.ledger, ledger_case.another()
    declared(ledger)
    ledger.kill(kill_of(None, "all"))
    with ThreadPoolExecutor(2) as pool:
        with session(ledger_case) as held:
            hold_row(held)
            own = pool.submit(other.kill, kill_of(NAME, "own"))
            wait_until(lambda: waiting_sessions(ledger_case) == 1, "the kill waits for the row")
            rearmed = pool.submit(ledger.rearm, None, "bob", "over", NOW)
            wait_until(lambda: waiting_sessions(ledger_case) == 2, "the rearm waits behind it")
        assert own.result(10)[0].killed
        rearmed.result(10)
    state = ledger.control(NAME)
    assert (state.killed, state.kill_id) == (True, "own")
    other.close()


@on_postgresql
def test_a_kill_of_all_covers_what_is_rearmed_meanwhile(ledger_case: LedgerCase) -> None:
    """A rearm of one that was under way first, or comes after, leaves nothing running."""
    ledger, other = ledger_case.ledger, ledger_case.another()
    declared(ledger)
    ledger.kill(kill_of(None, "before"))
    ledger.rearm(None, "ada", "over", NOW)
    ledger.kill(kill_of(NAME, "own"))
    with ThreadPoolExecutor(2) as pool:
        with session(ledger_case) as held:
            hold_row(held)
            rearmed = pool.submit(other.rearm, NAME, "bob", "fixed", NOW)
            wait_until(lambda: waiting_sessions(ledger_case) == 1, "the rearm waits for the row")
            killed = pool.submit(ledger.kill, kill_of(None, "all"))
            wait_until(lambda: waiting_sessions(ledger_case) == 2, "the kill waits behind it")
        rearmed.result(10)
        assert all(state.killed for state in killed.result(10))
    assert ledger.control(NAME).killed
    other.close()


def test_the_frozen_are_told_from_the_foreign() -> None:
    """Only a session that bears our name and has been silent in a transaction is ended."""

    class Row:
        def __init__(self, application: str, state: str, silent_s: float) -> None:
            self.application, self.state, self.silent_s = application, state, silent_s

    assert waits._frozen(Row("rollout", "idle in transaction", 2))
    assert waits._frozen(Row("rollout", "idle in transaction (aborted)", 2))
    assert not waits._frozen(Row("rollout", "idle in transaction", 0.2))
    assert not waits._frozen(Row("rollout", "active", 20))
    assert not waits._frozen(Row("psql", "idle in transaction", 20))


@pytest.mark.parametrize("ledger_case", ["sqlite"], indirect=True)
def test_a_kill_behind_the_single_writer_says_so(ledger_case: LedgerCase) -> None:
    """SQLite cannot tell who it is; the kill says what it waits for, and gives up in time."""
    declared(ledger_case.ledger)
    heard: list[str] = []
    url = ledger_case.sql.database.engine.url.render_as_string()
    other = SqlLedger(Database(url))
    with other.database.write():
        began = time.monotonic()
        with pytest.raises(LedgerBusy):
            ledger_case.ledger.kill(kill_of(), patience_s=1, waiting=heard.append)
        assert time.monotonic() - began < 3
    assert len(heard) == 1
    assert "single writer" in heard[0]
    other.close()
    assert ledger_case.ledger.kill(kill_of())[0].killed


def list_runs(evidence: Any, run: ShadowRun) -> Any:
    """A fold that lists what it was given."""
    return [*(evidence or []), run.run_id]


@on_postgresql
def test_a_shadow_worker_that_waited_for_the_account_does_not_wipe_it(
    ledger_case: LedgerCase,
) -> None:
    """It holds no epoch of before for the new one: two workers would wipe each other in turn."""
    ledger = ledger_case.sql
    declared(ledger)

    def run(client: SqlLedger, run_id: str) -> None:
        begun = ShadowBegun(run_id, path=C, name=NAME, job_id=run_id, legacy_s=0.5, at=NOW)
        client.begin_shadow(begun, {})
        client.end_shadow(ShadowEnd(run_id, name=NAME, at=NOW, shadow_s=0.5), list_runs)

    run(ledger, "before")
    other = ledger_case.another()
    assert isinstance(other, SqlLedger)
    with ThreadPoolExecutor(1) as pool:
        with session(ledger_case) as held:
            held.execute(text("SELECT 1 FROM shadow_account FOR UPDATE"))
            late = pool.submit(run, other, "late")
            wait_until(lambda: waiting_sessions(ledger_case) == 1, "the other worker waits")
            ledger.announce(NAME, C, "build 2")
        late.result(10)
    run(ledger, "next")
    assert ledger.shadow_account(NAME).evidence == ["late", "next"]
    other.close()
