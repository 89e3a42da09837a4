"""Control rows, latches and the log, on every ledger."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from rollout.adapters.sql.ledger import SqlLedger
from rollout.errors import (
    IllegalTransition,
    RolloutError,
    ScopeOutOfRange,
    StaleRevision,
    UnknownSubPipeline,
)
from rollout.jobs.ports import Ledger
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import Met
from rollout.routing.stages import ControlState, Event, Stage
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import commit, declared, started
from tests.waiting import wait_until


def events(ledger: Ledger, name: str = NAME) -> list[Event]:
    """Events of the log, oldest first."""
    return [record.event for record in ledger.transitions(name, 100)][::-1]


def test_a_declared_sub_pipeline_has_a_row(ledger: Ledger) -> None:
    """It begins on legacy with its own salt; declaring again changes nothing."""
    state = ledger.ensure(NAME, Effects.COMMIT, 500, NOW)
    assert state == ControlState(NAME, salt=NAME, revision=1)
    assert ledger.ensure(NAME, Effects.COMMIT, 700, NOW) == state
    assert ledger.controls() == [state]
    assert ledger.all_latch() == ControlState("*")


def test_many_processes_declare_at_once(ledger: Ledger) -> None:
    """All get the same row."""
    barrier = Barrier(6)

    def ensure(number: int) -> ControlState:
        barrier.wait()
        return ledger.ensure(NAME, Effects.COMMIT, 500, NOW)

    with ThreadPoolExecutor(6) as pool:
        states = list(pool.map(ensure, range(6)))
    assert states == [states[0]] * 6
    assert len(ledger.controls()) == 1


def test_changed_effects_are_the_ones_the_sweeper_follows(ledger: Ledger) -> None:
    """A release that declares its jobs unsafe is believed: they are not repeated any more."""
    declared(ledger, Effects.IDEMPOTENT)
    state = ledger.ensure(NAME, Effects.UNSAFE, 500, NOW)
    assert state == ledger.control(NAME)
    started(ledger, effects=Effects.UNSAFE)
    assert ledger.resend_silent(NAME, -SILENT_AFTER, NOW, 10) == []
    assert [job.job_id for job in ledger.failed(NAME, 10)] == ["job-1"]


def test_an_unknown_name_is_an_error_with_a_guess(ledger: Ledger) -> None:
    """Every use of it says the same and changes nothing."""
    declared(ledger)
    for act in (
        lambda: ledger.control("invoice"),
        lambda: ledger.change("invoice", Event.START, "ada", "", NOW),
        lambda: ledger.kill(kill_of("invoice")),
        lambda: ledger.rearm("invoice", "ada", "", NOW),
        lambda: ledger.transitions("invoice", 5),
    ):
        with pytest.raises(UnknownSubPipeline, match="did you mean 'invoices'"):
            act()
    assert events(ledger) == [Event.START]


def test_changes_are_applied_and_logged(ledger: Ledger) -> None:
    """The log holds actor, reason and both states, newest first."""
    declared(ledger)
    after = ledger.change(NAME, Event.SCOPE, "bob", "slowly", NOW, scope_bp=250, seen_revision=2)
    assert (after.stage, after.scope_bp, after.revision) == (Stage.SPLIT, 250, 3)
    assert ledger.control(NAME) == after
    record = ledger.transitions(NAME, 1)[0]
    assert (record.event, record.actor, record.reason) == (Event.SCOPE, "bob", "slowly")
    assert (record.before.scope_bp, record.after, record.at) == (100, after, NOW)


def test_refused_changes_leave_no_trace(ledger: Ledger) -> None:
    """Illegal, stale and out of range: neither row nor log changes."""
    declared(ledger)
    before = ledger.control(NAME)
    for event, error, given in (
        (Event.START, IllegalTransition, {}),
        (Event.SCOPE, ScopeOutOfRange, {"scope_bp": 12_000}),
        (Event.DOUBLE, StaleRevision, {"seen_revision": 1}),
    ):
        with pytest.raises(error):
            ledger.change(NAME, event, "ada", "", NOW, **given)
    assert ledger.control(NAME) == before
    assert events(ledger) == [Event.START]


@pytest.mark.parametrize("event", [Event.KILL, Event.REARM])
def test_a_kill_or_rearm_by_the_ordinary_door_is_refused(ledger: Ledger, event: Event) -> None:
    """Without the fence's lock and a kill id it would promise what it does not keep."""
    declared(ledger)
    with pytest.raises((AssertionError, RolloutError)):
        ledger.change(NAME, event, "ada", "why", NOW)
    assert not ledger.control(NAME).killed


def test_of_two_operators_one_hears_that_the_other_was_first(ledger_case: LedgerCase) -> None:
    """Both read revision 2 and double: the scope doubles once."""
    ledger, other = ledger_case.ledger, ledger_case.another()
    declared(ledger)
    barrier = Barrier(2)

    def double(client: Ledger) -> str:
        barrier.wait()
        try:
            client.change(NAME, Event.DOUBLE, "ada", "", NOW, seen_revision=2)
        except StaleRevision:
            return "stale"
        return "doubled"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(double, (ledger, other))) == ["doubled", "stale"]
    assert ledger.control(NAME).scope_bp == 200
    other.close()


def test_many_changes_at_once_count_every_revision(ledger: Ledger) -> None:
    """Row and log agree, with no number used twice."""
    declared(ledger)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: ledger.change(NAME, Event.FREEZE, f"a{n}", "", NOW), range(18)))
    assert ledger.control(NAME).revision == 20
    revisions = [record.after.revision for record in ledger.transitions(NAME, 100)]
    assert revisions == list(range(20, 1, -1))


@on_databases
@pytest.mark.parametrize(
    "statement", ["UPDATE transition SET actor = 'eve'", "DELETE FROM transition"]
)
def test_the_log_is_append_only_for_every_client(ledger_case: LedgerCase, statement: str) -> None:
    """The database itself refuses to rewrite history."""
    ledger = ledger_case.sql
    declared(ledger)
    refused = pytest.raises(DatabaseError, match="append-only")
    with refused, ledger.database.engine.begin() as connection:
        connection.execute(text(statement))
    assert [record.actor for record in ledger.transitions(NAME, 5)] == ["ada"]


def test_a_kill_is_idempotent_by_its_id(ledger: Ledger) -> None:
    """Whoever delivers the same kill again changes nothing."""
    declared(ledger)
    first = ledger.kill(kill_of())
    assert ledger.kill(kill_of()) == first
    assert events(ledger) == [Event.START, Event.KILL]


def test_a_kill_logs_what_it_met(ledger: Ledger) -> None:
    """Waiting and running jobs of the concurrent path, counted once, by whoever fenced."""
    declared(ledger)
    ledger.file([filing("waits"), filing("waits-2"), filing("on-legacy", JobPath.LEGACY)])
    started(ledger, "runs")
    commit(ledger, started(ledger, "done"))
    ledger.kill(kill_of())
    ledger.recall(NAME, running=True, reason=Reason.KILLED, now=NOW, limit=10)
    ledger.kill(kill_of())
    killed, *earlier = ledger.transitions(NAME, 10)
    assert killed.met == Met(queued=2, running=1)
    assert [record.met for record in earlier] == [None] * len(earlier)


def test_a_kill_of_all_logs_what_it_met_of_each(ledger: Ledger) -> None:
    """The latch of all has jobs of its own nowhere."""
    declared(ledger)
    ledger.ensure("bills", Effects.NONE, 500, NOW)
    ledger.file([filing("waits")])
    ledger.kill(kill_of(None))
    found = {name: ledger.transitions(name, 1)[0].met for name in (NAME, "bills", "*")}
    assert found == {NAME: Met(1, 0), "bills": Met(0, 0), "*": None}


def test_a_late_copy_of_a_lifted_kill_does_not_kill_again(ledger: Ledger) -> None:
    """A controller that saw the latch just before it was lifted must not undo the rearm."""
    declared(ledger)
    ledger.kill(kill_of())
    ledger.rearm(NAME, "ada", "fixed", NOW)
    ledger.kill(kill_of())
    assert not ledger.control(NAME).killed
    ledger.kill(kill_of(kill_id="kill-2"))
    assert ledger.control(NAME).killed


def test_a_kill_of_all_covers_later_declarations(ledger: Ledger) -> None:
    """What is declared under the latch is born killed, and the rearm of all lifts it."""
    declared(ledger)
    ledger.kill(kill_of(None))
    later = ledger.ensure("bills", Effects.NONE, 500, NOW)
    assert later.killed
    assert ledger.control("bills").kill_id == "kill-1"
    with pytest.raises(IllegalTransition):
        ledger.change("bills", Event.START, "ada", "", NOW)
    states = ledger.rearm(None, "ada", "over", NOW)
    assert {state.name for state in states} == {"*", NAME, "bills"}
    assert not any(state.killed for state in [*ledger.controls(), ledger.all_latch()])


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_declaration_during_a_kill_of_all_is_covered(ledger_case: LedgerCase) -> None:
    """One that comes while the kill waits for the fence is killed as well."""
    ledger = ledger_case.sql
    declared(ledger)
    with ThreadPoolExecutor(2) as pool, ledger.database.engine.connect() as outsider:
        outsider.execute(text("SELECT 1 FROM sub_pipeline FOR UPDATE"))
        killing = pool.submit(ledger.kill, kill_of(None))
        with ledger.database.read() as watching:
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            wait_until(lambda: watching.execute(held).scalar_one() >= 1, "the kill has the fence")
        declaring = pool.submit(ledger.ensure, "bills", Effects.NONE, 500, NOW)
        wait_until(lambda: declaring.done() or _waits(ledger), "the declaration got on or waits")
        outsider.rollback()
        killing.result(10)
        declaring.result(10)
    assert ledger.control("bills").killed


def _waits(ledger: SqlLedger) -> bool:
    with ledger.database.read() as connection:
        query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return int(connection.execute(query).scalar_one()) > 0


def test_rearming_has_its_rules(ledger: Ledger) -> None:
    """Not killed: refused. Under a kill of all: only all can be rearmed."""
    declared(ledger)
    for name in (NAME, None):
        with pytest.raises(IllegalTransition, match="not killed"):
            ledger.rearm(name, "ada", "why", NOW)
    ledger.kill(kill_of(None))
    with pytest.raises(IllegalTransition, match="kill --all"):
        ledger.rearm(NAME, "ada", "why", NOW)
    ledger.rearm(None, "ada", "why", NOW)
    assert ledger.control(NAME).scope_bp == 100


@pytest.mark.parametrize("single_first", [True, False])
def test_a_rearm_of_all_leaves_a_kill_of_one(ledger: Ledger, single_first: bool) -> None:
    """Who killed one sub-pipeline for its own reason finds it killed, in whatever order."""
    declared(ledger)
    declared(ledger, name="bills")
    kills = [kill_of(NAME, "own"), kill_of(None, "all")]
    for kill in kills if single_first else reversed(kills):
        ledger.kill(kill)
    ledger.rearm(None, "ada", "over", NOW)
    assert ledger.control(NAME).killed
    assert ledger.control(NAME).kill_id == "own"
    assert not ledger.control("bills").killed
    ledger.rearm(NAME, "ada", "fixed", NOW)
    assert not ledger.control(NAME).killed


def test_killing_all_twice_is_lifted_by_one_rearm(ledger: Ledger) -> None:
    """Two people on call pull the same switch: one latch."""
    declared(ledger)
    ledger.kill(kill_of(None, "first"))
    ledger.kill(kill_of(None, "second"))
    ledger.rearm(None, "ada", "over", NOW)
    assert not any(state.killed for state in [*ledger.controls(), ledger.all_latch()])


def test_kills_of_many_at_once_do_not_lock_each_other_out(ledger: Ledger) -> None:
    """Kills of all and of one, and declarations, at the same time: all return, all is killed."""
    for number in range(4):
        declared(ledger, name=f"p{number}")
    barrier = Barrier(6)

    def pull(number: int) -> None:
        barrier.wait()
        ledger.kill(kill_of(None if number % 2 else f"p{number % 4}", f"k{number}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(pull, range(6)))
    assert all(state.killed for state in ledger.controls())
