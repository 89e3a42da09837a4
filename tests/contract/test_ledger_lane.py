"""The short lane grants what the rules grant, writes the same row, and holds no fence."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from threading import Thread
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text, update

from rollout.adapters.sql import lane as lane_module
from rollout.adapters.sql import sessions as sessions_module
from rollout.adapters.sql.control_rows import lock_fence
from rollout.adapters.sql.database import Database
from rollout.adapters.sql.lane import Lane
from rollout.adapters.sql.lane_sessions import SESSIONS_MAX
from rollout.adapters.sql.ledger import SqlLedger
from rollout.adapters.sql.tables import job, sub_pipeline
from rollout.errors import LedgerUnreachable
from rollout.jobs.claims import Claim, JobRecord, JobState, Refusal, judge_claim, judge_commit
from rollout.jobs.ports import Committed
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, SILENT_AFTER, filing, kill_of
from tests.contract.conftest import LedgerCase
from tests.contract.differences import on_databases
from tests.contract.ledger_acts import LATER, C, claim, commit, declared, started
from tests.waiting import wait_until

FENCE = 7
MINE, OTHERS = "m" * 32, "o" * 32


def planted(ledger: SqlLedger, state: JobState, path: JobPath, **values: Any) -> JobRecord:
    """The one job's row, rewritten; and the record that it is read as."""
    base: dict[str, Any] = {
        "state": state, "path": path, "attempt": 1, "fence_revision": FENCE, "deaths": 0,
        "started_at": NOW, "renewed_at": NOW, "nonce": MINE, "fallback_reason": None,
        "result": None, "finished_at": None, "worker": "w0", "way": "",
    }  # fmt: skip
    with ledger.database.write() as connection:
        connection.execute(update(job).values(**{**base, **values}))
    return ledger.job(NAME, "job-1")


def controlled(ledger: SqlLedger, *, killed: bool, fence_revision: int = FENCE) -> None:
    """The control row, rewritten."""
    with ledger.database.write() as connection:
        connection.execute(
            update(sub_pipeline)
            .where(sub_pipeline.c.name == NAME)
            .values(killed=killed, fence_revision=fence_revision)
        )


def row_of(ledger: SqlLedger) -> JobRecord:
    """The row, without what is drawn anew at each claim."""
    return replace(ledger.job(NAME, "job-1"), nonce=None)


@pytest.fixture
def no_lane(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Closes the lane for the block."""

    @contextmanager
    def closed() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(lane_module.Lane, "_run", lambda self, act: None)
            yield

    return closed


@on_databases
def test_the_lane_claims_exactly_what_the_rule_grants(
    ledger_case: LedgerCase, no_lane: Any
) -> None:
    """Over every state of a row: yes for a waiting job the rule gives, and the row is the same."""
    ledger = ledger_case.sql
    declared(ledger)
    ledger.file([filing()])
    lane = Lane(ledger.database, own_clock=False)
    granted = 0
    cases = product(JobState, JobPath, JobPath, (False, True), (None, Reason.FAILED), (0, 3))
    for state, path, delivered, killed, fallback, attempt in cases:
        controlled(ledger, killed=killed)
        given = {"fallback_reason": fallback, "attempt": attempt}
        record = planted(ledger, state, path, **given)
        control = ledger.control(NAME)
        refusal = judge_claim(record, delivered, control, Effects.COMMIT, LATER, SILENT_AFTER)
        got = lane.claim(NAME, "job-1", delivered, 'w "attempt":0', LATER)
        expected = refusal is None and state is JobState.ACCEPTED
        assert (got is not None) == expected, (state, path, delivered, killed)
        if got is None:
            assert ledger.job(NAME, "job-1") == record
            continue
        granted += 1
        by_lane = row_of(ledger)
        planted(ledger, state, path, **given)
        with no_lane():
            judged = claim(ledger, delivered=delivered, worker='w "attempt":0', now=LATER)
        assert isinstance(judged, Claim)
        assert replace(got, nonce=None) == replace(judged, nonce=None)
        assert by_lane == row_of(ledger)
    assert granted


@on_databases
def test_the_lane_commits_exactly_what_the_rule_lets(ledger_case: LedgerCase, no_lane: Any) -> None:
    """Over every state, attempt, nonce, fence and effects; and the row is the same."""
    ledger = ledger_case.sql
    declared(ledger)
    ledger.file([filing()])
    granted = 0
    for state, path, attempt, nonce, effects in product(
        JobState, JobPath, (1, 2), (None, MINE, OTHERS), (Effects.COMMIT, Effects.UNSAFE)
    ):
        for killed, moved, claimed in product((False, True), (False, True), (None, MINE)):
            controlled(ledger, killed=killed, fence_revision=FENCE + moved)
            given = {"attempt": attempt, "nonce": nonce}
            record = planted(ledger, state, path, **given)
            held = Claim("job-1", NAME, path, 1, FENCE, fell_back=False, nonce=claimed)
            refusal = judge_commit(record, held, ledger.control(NAME), effects)
            fenced = path is C and effects.repeatable
            done = ledger._lane.commit(held, '"x"', LATER, fenced=fenced)
            assert done == (refusal is None), (record, held, effects, killed, moved)
            if not done:
                assert ledger.job(NAME, "job-1") == record
                continue
            granted += 1
            by_lane = row_of(ledger)
            planted(ledger, state, path, **given)
            with no_lane():
                assert commit(ledger, held, '"x"', effects, LATER) == Committed('"x"')
            assert by_lane == row_of(ledger)
    assert granted


@on_databases
def test_the_lane_files_the_same_row(ledger_case: LedgerCase, no_lane: Any) -> None:
    """A job that is there already is left to the long way, and untouched."""
    ledger = ledger_case.sql
    declared(ledger)
    assert ledger._lane.file(filing("job-1"))
    with no_lane():
        ledger.file([filing("job-2")])
    first, second = (ledger.job(NAME, one) for one in ("job-1", "job-2"))
    assert replace(first, job_id="job-2") == second
    assert not ledger._lane.file(filing("job-1"))
    assert ledger.job(NAME, "job-1") == first


@on_databases
def test_a_lane_that_is_full_sends_its_jobs_the_long_way(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are few; nobody waits long for one, and nobody is refused."""
    ledger = ledger_case.sql
    declared(ledger)
    sessions = ledger.database.lane
    taken = [sessions.take() for _ in range(SESSIONS_MAX)]
    assert sessions.take() is None
    began = monotonic()
    try:
        assert commit(ledger, started(ledger)) == Committed('"done"')
    finally:
        for one in taken:
            assert one is not None
            sessions.give_back(one)
    assert monotonic() - began < 2


@on_databases
def test_a_hook_that_used_the_connection_runs_once_and_is_judged_with_its_writes(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane's connection is another one: what the hook wrote would not be in it."""
    ledger = ledger_case.sql
    declared(ledger)
    held = started(ledger)
    monkeypatch.setattr(Lane, "commit", None)  # would fail when called
    ran = []

    def write(connect: Any) -> str:
        ran.append(connect().execute(text("SELECT 1")).scalar_one())
        return "1"

    assert ledger.commit(held, Effects.COMMIT, write, NOW) == Committed("1")
    assert ran == [1]


@on_databases
def test_a_hook_runs_once_when_the_lane_has_nothing_to_say(ledger_case: LedgerCase) -> None:
    """The long way judges what the hook has made; it does not make it again."""
    ledger = ledger_case.sql
    declared(ledger)
    held = started(ledger)
    ledger.kill(kill_of(NAME))
    ran = []

    def write(connect: Any) -> str:
        ran.append(1)
        return "1"

    assert ledger.commit(held, Effects.COMMIT, write, NOW) is Refusal.KILLED
    assert ran == [1]


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
@pytest.mark.parametrize("act", ["claim", "commit"])
def test_the_lane_waits_for_a_kill_and_sees_what_it_wrote(
    ledger_case: LedgerCase, act: str
) -> None:
    """The lock comes before the look: the kill is not yet committed when the function is called."""
    ledger = ledger_case.sql
    declared(ledger)
    held = started(ledger)
    ledger.file([filing("job-2")])
    answers: list[object] = []

    def try_it() -> None:
        if act == "claim":
            answers.append(ledger._lane.claim(NAME, "job-2", C, "w", LATER))
        else:
            answers.append(ledger._lane.commit(held, "1", LATER, fenced=True))

    running = Thread(target=try_it, daemon=True)
    with ledger.database.write() as connection:
        lock_fence(ledger.database, connection, NAME, shared=False)
        running.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(
            lambda: connection.execute(waiting).scalar_one() == 1, "it waits for the fence's lock"
        )
        connection.execute(update(sub_pipeline).values(killed=True))
    running.join(10)
    assert answers in ([None], [False])


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_lane_without_its_functions_sends_jobs_the_long_way_for_a_while(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken back by a downgrade, or not for this user: no job fails of it."""
    ledger = ledger_case.sql
    declared(ledger)
    functions = ("rollout_file", "rollout_claim", "rollout_commit")
    with ledger.database.write() as connection:
        for name in functions:
            connection.execute(text(f"ALTER FUNCTION {name} RENAME TO {name}_away"))
    try:
        assert commit(ledger, started(ledger)) == Committed('"done"')
        assert not ledger._lane.file(filing("job-2"))
    finally:
        with ledger.database.write() as connection:
            for name in functions:
                connection.execute(text(f"ALTER FUNCTION {name}_away RENAME TO {name}"))
    assert not ledger._lane.file(filing("job-2")), "it is closed"
    monkeypatch.setattr(ledger._lane, "_closed_until", 0.0)  # a minute later
    assert ledger._lane.file(filing("job-2"))


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
def test_a_lent_session_is_asked_in_one_message_and_keeps_nothing(
    ledger_case: LedgerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler the isolation is that of the message, whatever the session's default is."""
    monkeypatch.setattr(sessions_module, "_is_lent", lambda connection: True)
    url = ledger_case.sql.database.engine.url.render_as_string(hide_password=False)
    ledger = SqlLedger(Database(url), own_clock=False)
    try:
        declared(ledger)
        session = ledger.database.lane.take()
        assert session is not None
        assert session.lent
        session.cursor.execute("SET default_transaction_isolation = 'repeatable read'")
        ledger.database.lane.give_back(session)
        assert ledger._lane.file(filing("job-1"))
        held = ledger._lane.claim(NAME, "job-1", C, "w", LATER)
        assert held is not None
        assert ledger._lane.commit(held, "1", LATER, fenced=True)
        session.cursor.execute("SHOW lock_timeout")
        assert session.cursor.fetchone() == ("0",)
        session.cursor.execute("SHOW synchronous_commit")
        assert session.cursor.fetchone() == ("on",)
    finally:
        ledger.close()


class Link:
    """A link to PostgreSQL of which the far half falls silent in the middle of a message."""

    def __init__(self, path: str) -> None:
        self._far = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_in: bytes | None = None
        self._open: list[socket.socket] = []
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._far)
                self._open += [near, far]
                Thread(target=self._carry, args=(near, far), daemon=True).start()
                Thread(target=self._carry, args=(far, near), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.cut_in is not None and self.cut_in in data:
                    end = data.index(self.cut_in) + len(self.cut_in)
                    target.sendall(data[:end])
                    return  # and both ends stay open: nobody is told
                target.sendall(data)

    def close(self) -> None:
        """End every connection, and the listener."""
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.mark.parametrize("ledger_case", ["postgresql"], indirect=True)
@pytest.mark.parametrize("act", ["claim", "commit"])
def test_a_link_cut_inside_the_message_does_not_hold_the_fence(
    ledger_case: LedgerCase, act: str
) -> None:
    """The server has begun to read the call, and does nothing before it has the whole of it."""
    direct = ledger_case.sql
    declared(direct)
    held = started(direct)
    direct.file([filing("job-2")])
    with direct.database.read() as connection:
        driver: Any = connection.connection.driver_connection
        link = Link(f"{driver.info.host}/.s.PGSQL.{driver.info.port}")
    url = direct.database.engine.url.set(host="127.0.0.1", port=link.port, query={})
    behind = SqlLedger(Database(url.render_as_string(hide_password=False)), own_clock=False)
    try:
        behind.file([filing("job-3")])
        link.cut_in = b"rollout_" + act.encode()

        def stuck() -> None:
            with suppress(LedgerUnreachable):
                claim(behind, "job-2") if act == "claim" else commit(behind, held)

        running = Thread(target=stuck, daemon=True)
        running.start()
        running.join(0.3)
        assert running.is_alive(), "it waits for an answer that never comes"
        with direct.database.read() as connection:
            locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert connection.execute(locks).scalar_one() == 0
        direct.kill(kill_of(NAME))
    finally:
        link.close()
        running.join(20)
        behind.close()
    assert direct.job(NAME, "job-1").state is JobState.STARTED
