"""Workers are asked for the board, which all share, and not again for a page of it."""

from __future__ import annotations

from rollout.routing.decision import JobPath
from tests.builders import NAME, filing
from tests.desk.test_board_asks import HeardWorkers
from tests.web.conftest import Office


def test_a_page_says_once_what_holds_jobs_up(office: Office) -> None:
    """The alarm above says that nobody listens; the explanation neither repeats nor asks it."""
    world, order = office.world, list[str]()
    world.runtime.__dict__["workers"] = HeardWorkers(order, deaf=True)
    world.runtime.tick.turn()
    world.ledger.file([filing("job-1", JobPath.LEGACY, name=NAME, at=world.clock.now())])
    world.clock.advance(120)
    office.app._site.shared.forget()
    page = office.client.get(f"/sub-pipelines/{NAME}").text
    assert page.count(f"worker listens on queue {NAME}.legacy") == 1
    assert order.count("asked") == 1
