"""Workers are asked for the board, which all share, and not again for a page of it."""

from __future__ import annotations

from rollout.control.access import Caller, Role
from rollout.routing.decision import JobPath
from tests.builders import NAME, filing
from tests.desk.test_board_asks import HeardWorkers
from tests.web.conftest import Office


def a_job_waits(office: Office) -> list[str]:
    """One waits for two minutes and no worker listens; gives what the workers are asked."""
    world, order = office.world, list[str]()
    world.runtime.__dict__["workers"] = HeardWorkers(order, deaf=True)
    world.runtime.tick.turn()
    world.ledger.file([filing("job-1", JobPath.LEGACY, name=NAME, at=world.clock.now())])
    world.clock.advance(120)
    office.app._site.shared.forget()
    return order


def test_a_page_says_once_what_holds_jobs_up(office: Office) -> None:
    """The alarm above says that nobody listens; the explanation neither repeats nor asks it."""
    order = a_job_waits(office)
    page = office.client.get(f"/sub-pipelines/{NAME}").text
    assert page.count(f"worker listens on queue {NAME}.legacy") == 1
    assert order.count("asked") == 1


def test_the_api_s_why_asks_nobody_again(office: Office) -> None:
    """It says what the workers said to the board that all share."""
    order = a_job_waits(office)
    office.client.get("/api/v1/sub-pipelines")
    asked = order.count("asked")
    values = office.client.get(f"/api/v1/sub-pipelines/{NAME}/why").json()
    (one,) = values["held_up"]
    assert f"worker listens on queue {NAME}.legacy" in one["sentence"]
    assert order.count("asked") == asked == 1


def test_who_acted_sees_it_judged_anew(office: Office) -> None:
    """The judgement of all is of a moment ago; what was changed since is judged at once."""
    office.client.get("/")
    before = office.client.get(f"/api/v1/sub-pipelines/{NAME}").json()
    office.client.post(f"/api/v1/sub-pipelines/{NAME}/freeze", json={"reason": "stocktaking"})
    after = office.client.get(f"/api/v1/sub-pipelines/{NAME}").json()
    assert after["revision"] == before["revision"] + 1
    board = office.app._site.board(Caller("ana", Role.ADMIN)).value
    assert board.pending[NAME].state.frozen
    assert board.pending[NAME].state.revision == after["revision"]
