"""The form that begins a drill: the service's guards, a preview, nothing lost that was typed."""

from __future__ import annotations

import pytest

from rollout.control.access import Role
from rollout.control.acts import Came
from rollout.routing.stages import Event
from rollout.web.drill_pages import FIELDS
from tests.builders import NAME
from tests.traffic import Traffic
from tests.waiting import wait_until
from tests.web.conftest import Office

HERE = "/sub-pipelines/payments/drill"
GIVEN = {
    **FIELDS, "path": "concurrent", "duration_s": "10", "blast_radius_jobs": "40",
    "deadline_s": "60", "window_s": "2",
}  # fmt: skip


@pytest.fixture
def busy(office: Office) -> Office:
    """An office whose sub-pipeline has had forty seconds of normal traffic, which goes on."""
    pipeline = office.world.declare(name="payments")
    office.world.runtime.changes.change("payments", Event.SCOPE, "ada", "half", scope_bp=9_500)
    Traffic(office.world, pipeline)
    office.world.clock.advance(40)
    return office


def test_it_is_foreseen_and_then_begun(busy: Office) -> None:
    """The first touch plants nothing; the second leads to the journal, and the log has why."""
    page = busy.client.get(HERE).text
    assert "Say what it would do" in page
    assert "Begin the drill" not in page
    page = busy.client.get(HERE, params=GIVEN).text
    assert "raise for 10 s on up to 40 jobs of the concurrent path" in page
    assert busy.world.ledger.drills(None, 10) == []
    begun = busy.client.post(HERE, data={**GIVEN, "reason": "weekly"})
    assert begun.status_code == 303, begun.text
    drill_id = begun.headers["location"].rpartition("/")[2]

    def ended() -> bool:
        return any(one.what == "ended" for one in busy.world.ledger.drill_events(drill_id))

    wait_until(ended, "the drill is over", 90)
    (act, *_) = busy.world.ledger.acts("payments", 1)
    assert (act.action, act.came, act.reason) == ("drill", Came.DONE, "weekly")
    assert busy.client.get(f"/drills/{drill_id}").status_code == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"duration_s": "long"}, "duration_s"),
        ({"blast_radius_jobs": "4.5"}, "blast_radius_jobs"),
        ({"deadline_s": "nan"}, "deadline_s"),
        ({"fault": "<b>explode"}, "unknown fault"),
        ({"path": "sideways"}, "sideways"),
        ({"fault": "delay", "fault_s": "0"}, "fault_s"),
        ({"fault": "chaos"}, "experiment"),
        ({"blast_radius_jobs": "4000"}, "larger than the scope"),
        ({"window_s": "3600", "deadline_s": "86400"}, "windows of 3600 s had jobs"),
    ],
)
def test_what_cannot_be_is_said_before_and_after(
    busy: Office, change: dict[str, str], says: str
) -> None:
    """Preview and action refuse alike, begin nothing, and keep what was typed."""
    given = {**GIVEN, **change}
    seen = busy.client.get(HERE, params=given)
    done = busy.client.post(HERE, data=given)
    assert seen.status_code == 200
    assert done.status_code in (400, 409)
    for page in (seen.text, done.text):
        assert 'role="alert"' in page
        assert says in page
        assert "Begin the drill" not in page
        assert "<b>explode" not in page
        assert f'value="{given["duration_s"]}"' in page
    assert busy.world.ledger.drills(None, 10) == []


def test_a_dry_run_by_api_asks_for_the_traffic_too(office: Office) -> None:
    """What would be refused is not foreseen as done: no job ran here yet."""
    body = {
        "drill": {
            "name": "broken", "fault": "raise", "duration_s": 10, "path": "concurrent",
            "blast_radius_jobs": 4, "deadline_s": 60,
        }
    }  # fmt: skip
    answer = office.client.post(f"/api/v1/sub-pipelines/{NAME}/drill?dry_run=true", json=body)
    assert answer.status_code == 409, answer.text
    assert "0 of the last 20 windows" in answer.json()["detail"]


def test_who_may_not_drill(office: Office) -> None:
    """No button, no page, no action; the refused action is noted."""
    client, here = office.bearer(Role.SAFER_ONLY), f"/sub-pipelines/{NAME}"
    assert f"Drill {NAME}" not in client.get(here).text
    assert client.get(f"{here}/drill").status_code == 403
    for word in ("drill", "end-drill"):
        assert client.post(f"{here}/{word}", data=GIVEN).status_code == 403
    acts = office.world.ledger.acts(NAME, 2)
    assert [(one.action, one.came) for one in acts] == [
        ("end-drill", Came.REFUSED), ("drill", Came.REFUSED),
    ]  # fmt: skip


def test_a_fault_is_taken_away_by_the_page(busy: Office) -> None:
    """Whoever planted it: the drill that runs has a button, and the way back is its list."""
    answer = busy.client.post("/sub-pipelines/payments/end-drill", data={})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/drills?name=payments"
