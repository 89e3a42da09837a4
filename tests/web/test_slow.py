"""A ledger that is slow or away: parts are left out and said so, and a kill stays in reach."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.control.access import Role
from rollout.errors import LedgerSlow
from rollout.settings import read_settings
from rollout.web.guards import LOOKS_MAX, Guards
from rollout.web.shared import STALE_S, Shared, TooSlowToRead
from tests.builders import NAME
from tests.hand_clock import HandClock
from tests.waiting import wait_until
from tests.web.conftest import Office, OpenOffice

HERE = f"/sub-pipelines/{NAME}"


def slow(office: Office, name: str, times: int = 1_000) -> None:
    """Let so many calls of the ledger take too long."""
    left = [times]

    def before(called: str) -> None:
        if called == name and left[0]:
            left[0] -= 1
            raise LedgerSlow("sqlite:///slow")

    office.world.line.before = before


@pytest.mark.parametrize("how", ["away", "slow"])
def test_the_kill_s_page_waits_for_no_ledger(office: Office, how: str) -> None:
    """Its button is there, and says that the numbers are not."""
    if how == "away":
        office.world.line.cut()
    else:
        slow(office, "open_counts")
    page = office.client.get(f"{HERE}/kill")
    assert page.status_code == 200
    assert f"Kill {NAME} now" in page.text
    assert "cannot be said now" in page.text
    assert "Kill all" in office.client.get("/kill").text
    assert office.client.post(f"{HERE}/kill", data={}).status_code == 303
    office.world.line.mend()
    assert office.world.control.read(NAME).killed


def test_a_page_that_failed_has_the_kill_switch(office: Office) -> None:
    """Also one that is not there, and one whose ledger is away."""
    office.world.line.cut()
    for path, status in (("/", 503), ("/nothing", 404), (HERE, 503)):
        page = office.client.get(path)
        assert page.status_code == status
        if status == 503:
            assert 'class="kill"' in page.text


def test_a_page_leaves_out_what_takes_too_long(office: Office) -> None:
    """By name, and the rest of it is there."""
    slow(office, "decisions")
    page = office.client.get(HERE)
    assert page.status_code == 200
    assert "Left out" in page.text
    assert "why it stands here, changes and decisions" in page.text
    assert "Over time" in page.text


def test_the_overview_is_there_without_verdicts(office: Office) -> None:
    """Where all stand is told though nobody can be judged now."""
    slow(office, "trial_rows")
    page = office.client.get("/")
    assert NAME in page.text
    assert "no verdicts" in page.text
    values = office.client.get(f"/api/v1{HERE}").json()
    assert values["scope_bp"] == 10_000


def test_a_list_that_takes_too_long_is_the_newest_part(office: Office) -> None:
    """API and page say which part; one that is quick again is whole."""
    office.failed("f1")
    office.client.get("/")  # what all pages share is read
    slow(office, "recent_jobs", times=1)
    values = office.client.get("/api/v1/jobs?kind=failed").json()
    assert "admitted in the last" in values["partial"]
    assert [one["job_id"] for one in values["jobs"]] == ["f1"]
    assert office.client.get("/api/v1/jobs?kind=failed&limit=9").json()["partial"] is None
    slow(office, "recent_jobs", times=2)
    assert "A part:" in office.client.get(f"/jobs?kind=failed&name={NAME}").text
    slow(office, "recent_jobs")
    refused = office.client.get("/api/v1/jobs?kind=fallbacks")
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:rollout:problem:ledger-slow"


def test_a_credential_is_looked_up_once_for_many_looks(open_office: OpenOffice) -> None:
    """Not at each request of each viewer; for an act it always is."""
    office = open_office(web_sign_in="token")
    office.declare()
    client = office.bearer(Role.ADMIN)
    for _ in range(5):
        client.get("/api/v1/health")
    assert office.world.line.trace.count("token_of") == 1
    client.post(f"/api/v1{HERE}/freeze", json={})
    assert office.world.line.trace.count("token_of") == 2
    office.world.clock.advance(11)
    client.get("/api/v1/health")
    assert office.world.line.trace.count("token_of") == 3


# Readings that all share -----------------------------------------------------------------


def test_an_old_reading_is_given_while_the_next_is_made() -> None:
    """Nobody waits for it but who comes after a long silence, or after an act."""
    clock, gate, made = HandClock(), threading.Event(), [0]
    shared = Shared(clock, patience_s=0.1)

    def read() -> int:
        made[0] += 1
        if made[0] > 1:
            gate.wait(10)
        return made[0]

    assert shared.get("x", read).value == 1
    clock.advance(5)
    taken = shared.get("x", read)
    assert (taken.value, taken.age_s, taken.late) == (1, 5.0, None)
    clock.advance(STALE_S)
    late = shared.get("x", read)
    assert late.value == 1
    assert late.late is not None
    gate.set()
    wait_until(lambda: shared.get("x", read).value == 2, "the next reading is there")
    shared.forget()
    assert shared.get("x", read).value == 3
    shared.close()


def test_what_was_never_read_is_not_waited_for_longer_than_asked() -> None:
    """And is kept when it is there."""
    gate = threading.Event()
    shared = Shared(HandClock())

    def read() -> str:
        gate.wait(10)
        return "whole"

    with pytest.raises(TooSlowToRead):
        shared.get("x", read, 0.05)
    gate.set()
    wait_until(lambda: shared.reads == 1, "it was read")
    assert shared.get("x", read, 0.0).value == "whole"
    shared.close()


def test_a_long_reading_outlives_acts_and_rests() -> None:
    """What takes seconds is not made again at each act, nor more than a tenth of the time."""
    clock, made = HandClock(), [0]
    shared = Shared(clock)

    def read() -> int:
        made[0] += 1
        clock.advance(3)  # it takes three seconds
        return made[0]

    def get() -> int:
        return shared.get("x", read, lasts_s=10, long=True, outlives_acts=True).value

    assert get() == 1
    for _ in range(3):
        shared.forget()
        assert get() == 1
    clock.advance(26)  # 29 s old, by itself fresh for 10
    assert get() == 1
    assert made == [1]
    clock.advance(2)
    assert get() == 1  # given at once, while the next is made
    wait_until(lambda: get() == 2, "the next reading is there")
    shared.close()


def test_pages_do_not_stand_behind_long_readings() -> None:
    """However many of these are under way."""
    gate, shared = threading.Event(), Shared(HandClock())

    def read() -> str:
        gate.wait(10)
        return "long"

    for one in range(8):
        with pytest.raises(TooSlowToRead):
            shared.get(("long", one), read, 0.01, long=True)
    assert shared.get("page", lambda: "there", 5).value == "there"
    gate.set()
    shared.close()


# Many at once ----------------------------------------------------------------------------


def test_a_kill_passes_those_who_wait(no_variables: object) -> None:
    """However many ask for a slow page, threads are left for who acts."""
    site: Any = SimpleNamespace(base="", settings=read_settings())
    answered: list[str] = []
    gates: list[asyncio.Event] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gates[0].wait()
        answered.append(scope["path"])

    async def ask(guards: Guards, path: str) -> None:
        headers = [(b"host", b"127.0.0.1")]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        await guards(scope, _nothing, _nothing)

    async def run() -> int:
        gates.append(asyncio.Event())
        guards = Guards(app, site)
        waiting = [asyncio.create_task(ask(guards, "/slow")) for _ in range(LOOKS_MAX + 10)]
        await asyncio.sleep(0)
        await asyncio.wait_for(ask(guards, f"{HERE}/kill"), 5)
        killed = len(answered)
        gates[0].set()
        await asyncio.gather(*waiting)
        return killed

    assert asyncio.run(run()) == 1
    assert len(answered) == LOOKS_MAX + 11


async def _nothing(*given: Any) -> Any:
    """Nobody sends, nobody listens."""
