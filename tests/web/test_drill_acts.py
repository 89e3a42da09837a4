"""Drills by API: guarded as the command line's, begun, measured here, and ended."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.control.access import Role
from rollout.control.acts import Came
from rollout.routing.stages import Event
from rollout.web.drilling import DRILLS_MAX
from tests.builders import NAME
from tests.traffic import Traffic
from tests.waiting import wait_until
from tests.web.conftest import Office

HERE = f"/api/v1/sub-pipelines/{NAME}"
DRILL: dict[str, Any] = {
    "name": "broken", "path": "concurrent", "fault": "raise", "duration_s": 10,
    "blast_radius_jobs": 40, "deadline_s": 60, "window_s": 2, "windows_before": 8,
}  # fmt: skip


@pytest.fixture
def busy(office: Office) -> Office:
    """An office whose sub-pipeline has had twenty seconds of normal traffic, which goes on."""
    world = office.world
    pipeline = world.declare(name="payments")
    world.runtime.changes.change("payments", Event.SCOPE, "ada", "half", scope_bp=9_500)
    Traffic(world, pipeline)
    world.clock.advance(20)
    return office


def test_a_drill_begins_and_is_measured(busy: Office) -> None:
    """The answer is its id and first line; its end is in the journal, who began it in the log."""
    path = "/api/v1/sub-pipelines/payments/drill"
    begun = busy.client.post(path, json={"drill": DRILL, "reason": "weekly"})
    assert begun.status_code == 200, begun.text
    drill_id = begun.json()["drill_id"]

    def ended() -> bool:
        events = busy.world.ledger.drill_events(drill_id)
        return any(one.what == "ended" for one in events)

    wait_until(ended, "the drill is over", 90)
    assert busy.world.runtime.plans.planted("payments") is None
    (act, *_) = busy.world.ledger.acts("payments", 1)
    assert (act.action, act.came, act.reason) == ("drill", Came.DONE, "weekly")
    assert "raise for 10 s on up to 40 jobs" in act.said
    assert busy.client.get(f"/api/v1/drills/{drill_id}").json()["events"]


def test_a_dry_run_plants_nothing(busy: Office) -> None:
    """It says what would be hurt."""
    path = "/api/v1/sub-pipelines/payments/drill?dry_run=true"
    values = busy.client.post(path, json={"drill": DRILL}).json()
    assert "up to 40 jobs of the concurrent path" in values["sentence"]
    assert busy.world.ledger.drills(None, 10) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fault": "explode"}, "unknown fault 'explode'"),
        ({"fault": ["raise"]}, "unknown fault ['raise']"),
        ({"path": {"a": 1}}, "'path' of"),
        ({"target": 5}, "must be a table"),
        ({"target": {"jobs": [1]}}, "the jobs of drill"),
        ({"abort": {"waiting_jobs_max": "many"}}, "'abort' of drill"),
        ({"duration_s": "long"}, "duration_s"),
        ({"sub_pipeline": "payments"}, "must be of 'invoices'"),
        ({"fault": "chaos"}, "experiment"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_drill_that_cannot_be_is_a_sentence(
    office: Office, change: dict[str, Any], says: str
) -> None:
    """What was expected and what came; nothing was begun."""
    answer = office.client.post(f"{HERE}/drill", json={"drill": {**DRILL, **change}})
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert office.world.ledger.drills(None, 10) == []


def test_a_drill_that_may_not_be_now(office: Office) -> None:
    """One on a killed sub-pipeline is refused as the command line refuses it, and noted."""
    office.client.post(f"{HERE}/kill", json={})
    answer = office.client.post(f"{HERE}/drill", json={"drill": DRILL})
    assert answer.status_code == 409
    assert "it is killed" in answer.json()["detail"]
    (act, *_) = office.world.ledger.acts(NAME, 1)
    assert (act.action, act.came) == ("drill", Came.REFUSED)


def test_who_may_not_drill_is_told_nothing_else(office: Office) -> None:
    """Not even what is wrong with the drill; and the refusal is noted."""
    client = office.bearer(Role.SAFER_ONLY)
    for word, body in (("drill", {"drill": {"x": 1}}), ("end-drill", {})):
        assert client.post(f"{HERE}/{word}", json=body).status_code == 403
    assert [one.came for one in office.world.ledger.acts(NAME, 2)] == [Came.REFUSED] * 2


def test_a_fault_is_taken_away(busy: Office) -> None:
    """Whoever planted it; without one the answer says so."""
    path = "/api/v1/sub-pipelines/payments/end-drill"
    assert busy.client.post(path, json={"reason": "x"}).json()["ended"] is False


def test_one_process_measures_only_so_many(office: Office) -> None:
    """More are refused before anything is begun."""
    drilling = office.app._site.drilling
    drilling._running.extend([None] * DRILLS_MAX)
    assert office.client.post(f"{HERE}/drill", json={"drill": DRILL}).status_code == 429
    drilling._running.clear()
