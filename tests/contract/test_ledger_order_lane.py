"""The short lane of places says yes where the rule does, sees who waits, reads no long queue."""

from threading import Thread

import pytest
from sqlalchemy import text, update

from rollout.adapters.sql.order_lane import SqlitePlaces, lock_of
from rollout.adapters.sql.order_tables import key_place
from rollout.jobs.claims import JobState
from rollout.jobs.order import OnFailure, gives_up
from rollout.jobs.ports import Handed
from rollout.routing.decision import Reason
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import C, claim, declared
from tests.contract.test_ledger_order import KEY, behind, done, place, submit
from tests.waiting import wait_until

FUNCTIONS = ("rollout_is_first", "rollout_leave")


@on_databases
@pytest.mark.parametrize("on_failure", OnFailure)
@pytest.mark.parametrize("state", JobState)
def test_it_gives_up_a_place_exactly_where_the_rule_does(
    ledger_case: LedgerCase, state: JobState, on_failure: OnFailure
) -> None:
    """Its condition stands in SQL, and once more in a function: over all states of a job."""
    ledger = ledger_case.sql
    declared(ledger)
    submit(ledger, "one", "two", on_failure=on_failure)
    match state:
        case JobState.STARTED:
            claim(ledger, "one")
        case JobState.COMMITTED:
            done(ledger, "one")
        case JobState.FAILED:
            ledger.fail(NAME, "one", None, Reason.FAILED, "broke", NOW)
        case JobState.CANCELLED | JobState.EXPIRED:
            ledger.call_off(NAME, "one", None, state, "why", NOW)
    assert ledger.job(NAME, "one").state is state
    over = gives_up(state, on_failure)
    assert ledger._order_lane.is_first(NAME, KEY, "one")
    assert ledger._order_lane.leave(NAME, KEY) is over
    assert ledger._order_lane.is_first(NAME, KEY, "two") is over


@on_databases
def test_it_says_nothing_where_there_is_something_to_judge(ledger_case: LedgerCase) -> None:
    """No place, one that waits, a key of nobody, and a row that has gone."""
    ledger = ledger_case.sql
    declared(ledger)
    lane = ledger._order_lane
    assert not lane.is_first(NAME, KEY, "one")
    assert not lane.leave(NAME, KEY)
    submit(ledger, "one", "two")
    assert behind(ledger, "two") == "one"
    done(ledger, "one")
    assert not lane.leave(NAME, KEY), "the second waits to be sent"
    assert not lane.leave("another", KEY)
    with ledger.database.write() as connection:
        waiting = update(key_place).where(key_place.c.job_id == "one")
        connection.execute(waiting.values(waits=True))
    assert not lane.is_first(NAME, KEY, "one"), "it was put to wait"
    ledger.line_up([place("gone", key="nobody's")])
    assert not lane.leave(NAME, "nobody's"), "there is no row that says it is over"


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_one_that_is_just_put_to_wait_is_not_missed(ledger_case: LedgerCase) -> None:
    """Giving up waits for the key's lock, and looks only then who waits."""
    ledger = ledger_case.sql
    declared(ledger)
    submit(ledger, "one", "two")
    done(ledger, "one")
    handed: list[Handed | None] = []
    running = Thread(
        target=lambda: handed.append(ledger.next_of(NAME, KEY, NOW)),
        daemon=True,
    )
    with ledger.database.write() as connection:
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": lock_of(NAME, KEY)})
        running.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(
            lambda: connection.execute(waiting).scalar_one() == 1, "it waits for the key's lock"
        )
        second = update(key_place).where(key_place.c.job_id == "two")
        connection.execute(second.values(waits=True))
    running.join(10)
    assert [one.job_id for one in handed if one is not None] == ["two"]


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_an_older_snapshot_gives_up_nothing(ledger_case: LedgerCase) -> None:
    """With another isolation it would not see who was put to wait while it waited for the lock."""
    ledger = ledger_case.sql
    declared(ledger)
    submit(ledger, "one")
    done(ledger, "one")
    session = ledger.database.lane.take()
    assert session is not None
    session.cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    ledger.database.lane.give_back(session)
    assert not ledger._order_lane.leave(NAME, KEY)
    assert ledger.next_of(NAME, KEY, NOW) is None
    assert not ledger._order_lane.is_first(NAME, KEY, "one"), "the long way has given it up"


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_without_its_functions_jobs_keep_their_order_the_long_way(ledger_case: LedgerCase) -> None:
    """A release that is started before `rollout migrate`, or a downgrade under it."""
    ledger = ledger_case.sql
    declared(ledger)
    with ledger.database.write() as connection:
        for name in FUNCTIONS:
            connection.execute(text(f"ALTER FUNCTION {name} RENAME TO {name}_away"))
    try:
        submit(ledger, "one", "two")
        assert behind(ledger, "two") == "one"
        assert behind(ledger, "one") is None
        done(ledger, "one")
        handed = ledger.next_of(NAME, KEY, NOW)
        assert handed is not None
        assert handed.job_id == "two"
    finally:
        with ledger.database.write() as connection:
            for name in FUNCTIONS:
                connection.execute(text(f"ALTER FUNCTION {name}_away RENAME TO {name}"))
    assert ledger._lane.file(filing("three", C)), "the lane of claims goes on"


@pytest.mark.parametrize("ledger_case", ["sqlite"], indirect=True)
def test_who_waits_is_not_read_from_all_places_of_a_key(ledger_case: LedgerCase) -> None:
    """A key's queue may be long: O(1) for each job of it."""
    database = ledger_case.sql.database
    leave = SqlitePlaces(database)._leave
    values = tuple(leave._given({"b_name": NAME, "b_key": KEY}))
    with database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {leave.sql}", values).all()
    lines = [str(row[-1]) for row in plan]
    assert not [line for line in lines if "SCAN" in line.replace("SCALAR", "")]
    assert any("INDEX key_place_waits" in line for line in lines), lines
