"""What the page of a kill says before the second touch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.control.access import Caller, Role
from rollout.control.kill_log import NO_REASON
from rollout.desk.desk import Desk
from rollout.desk.pending import Why
from rollout.desk.text import at_text
from rollout.routing.stages import Event
from tests.builders import NAME
from tests.waiting import wait_until
from tests.web.conftest import Office

ANA = Caller("ana", Role.ADMIN)
HERE = f"/sub-pipelines/{NAME}"


def test_it_says_when_legacy_is_what_fails(office: Office) -> None:
    """A kill sends everything there, and whoever kills is to know."""
    assert "Legacy itself fails" not in office.client.get(f"{HERE}/kill").text
    office.failed("f1", "KeyError: 'discount'")
    office.app._site.shared.forget()
    page = office.client.get(f"{HERE}/kill").text
    assert "Legacy itself fails now: 1 of 1 finished jobs failed on it" in page
    assert f"Kill {NAME} now" in page


def test_a_killed_one_is_not_offered_as_if_it_were_not(office: Office) -> None:
    """The switch stays, and says that it would be another time."""
    assert f"Kill {NAME}…" in office.client.get(HERE).text
    office.client.post(f"{HERE}/kill", data={})
    page = office.client.get(HERE).text
    assert "Kill again…" in page
    assert f"Kill {NAME}…" not in page


def test_an_acknowledgement_is_not_grey(office: Office) -> None:
    """It was read for this page alone: a board that is old, or away, makes it no older."""
    office.client.post(f"/sub-pipelines/{NAME}/kill", data={})
    office.app._site.glance = lambda caller: None
    page = office.client.get(f"/sub-pipelines/{NAME}/killed").text
    assert '<body class=""' in page
    assert "Nothing could be read" in page
    assert "Kill again…" in page
    assert '<body class="silent"' in office.client.get(f"/sub-pipelines/{NAME}/kill").text


def test_who_rearms_reads_why_it_was_killed(office: Office) -> None:
    """Also where the reason was given after the kill, as the page asks for it."""
    here = f"/sub-pipelines/{NAME}"
    office.client.post(f"{here}/kill", data={})
    office.client.post(f"{here}/kill", data={"reason": "totals differ"})
    asked = office.client.get(f"{here}/rearm").text
    mistyped = office.client.post(f"{here}/rearm", data={"typed": "x", "reason": "y"}).text
    for page in (asked, mistyped):
        assert "totals differ" in page
        assert NO_REASON not in page
    office.world.runtime.tick.turn()
    page = office.client.get(here).text
    assert "<strong>Killed:</strong> nothing runs" in page


def test_a_reason_given_afterwards_changes_neither_who_nor_when(office: Office) -> None:
    """A colleague who keeps the reason half an hour later is not told to have killed it."""
    office.client.post(f"{HERE}/kill", data={})
    (first,) = office.world.runtime.door.kills(NAME)
    office.world.clock.advance(1800)
    office.world.runtime.changes.kill(NAME, "cara", "totals differ")
    office.world.runtime.tick.turn()
    office.app._site.shared.forget()
    told = f"by {first.actor}, {at_text(first.at)}: totals differ"
    for path in (HERE, "/"):
        assert told in office.client.get(path).text
    assert told in office.world.runtime.desk.why(NAME).headline[1]


def test_an_acknowledgement_contradicts_itself_nowhere(office: Office) -> None:
    """A board of before the kill lends it neither its revision nor its kill bar."""
    site = office.app._site
    before = site.board(ANA)
    office.client.post(f"{HERE}/kill", data={})
    site.glance = lambda caller: replace(before, age_s=3.0, late="it takes too long")
    page = office.client.get(f"{HERE}/killed").text
    assert "Kill again…" in page
    assert "Something wrong with" not in page
    assert "it takes too long" not in page
    assert f"revision {before.value.of(NAME).state.revision}" not in page


def test_why_is_of_the_state_that_the_page_shows(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change through another door is not explained by a reading of the state before it."""
    site, clock, why = office.app._site, office.world.clock, Desk.why
    explained: list[int] = []

    def told(desk: Desk, name: str, *, ask_workers: bool = True) -> Why:
        answer = why(desk, name, ask_workers=ask_workers)
        explained.append(answer.pending.state.revision)
        return answer

    monkeypatch.setattr(Desk, "why", told)
    site.board(ANA)
    clock.advance(1.5)
    office.client.get(HERE)
    before = site.board(ANA).value.of(NAME).state.revision
    office.world.runtime.changes.change(NAME, Event.FREEZE, "controller", "stocktaking")
    clock.advance(1.5)  # the board is old by now, what was read of why is not
    wait_until(lambda: site.board(ANA).value.of(NAME).state.revision > before, "a new board")
    office.client.get(HERE)
    assert explained == [before, before + 1]


def test_a_stop_is_a_whole_sentence(office: Office) -> None:
    """On the overview no word stands before it."""
    office.client.post(f"/sub-pipelines/{NAME}/kill", data={"reason": "totals differ"})
    assert "Killed by ana, " in office.client.get("/").text


def test_what_legacy_failed_before_is_no_reason_to_hesitate(office: Office) -> None:
    """A single failure of minutes ago is not called one of now."""
    office.failed("f1", "KeyError: 'discount'")
    office.world.clock.advance(120)
    office.app._site.shared.forget()
    assert "Legacy itself fails" not in office.client.get(f"{HERE}/kill").text


def test_from_every_page_a_way_leads_out_of_a_kill_of_all(office: Office) -> None:
    """Whoever left the page of the kill finds it again, and is told no command that is refused."""
    assert "Everything is killed" not in office.client.get("/").text
    office.client.post("/kill", data={})
    for page in ("/", "/jobs", "/log", HERE, f"{HERE}/rearm"):
        text = office.client.get(page).text
        assert 'href="/killed"' in text, page
    here = office.client.get(HERE).text
    assert "Rearm all…" in here
    assert f'href="{HERE}/rearm"' not in here
    assert "rollout rearm --all" in here
    assert f"rollout rearm {NAME}" not in here
    assert "lifted for all together" in office.client.get(f"{HERE}/rearm").text
    office.client.post("/rearm", data={"typed": "all", "reason": "mended"})
    assert "Everything is killed" not in office.client.get("/").text


@pytest.mark.parametrize("what", [HERE, ""])
def test_who_still_looks_at_a_kill_that_was_lifted_is_told_by_whom(
    office: Office, what: str
) -> None:
    """It is no alarm, and nobody is to stop workers by hand."""
    name = NAME if what else "all"
    office.client.post(f"{what}/kill", data={"reason": "totals differ"})
    office.client.post(f"{what}/rearm", data={"typed": name, "reason": "mended in 1.4"})
    page = office.client.get(f"{what}/killed").text
    assert "is rearmed, by ana" in page
    assert "mended in 1.4" in page
    assert "▲" not in page
    assert "By hand now" not in page
    assert "Killing again is harmless" not in page
    office.client.post(f"{what}/kill", data={})
    assert "is rearmed" not in office.client.get(f"{what}/killed").text


def test_the_button_for_all_is_no_larger_than_the_one_for_one(office: Office) -> None:
    """A thumb that slips is not to stop everything."""
    page = office.client.get("/kill").text
    assert f'<button class="kill">Kill {NAME} now</button>' in page
    assert '<button class="kill">Kill all now</button>' in page


def test_the_way_out_of_a_kill_stands_before_what_went_wrong(office: Office) -> None:
    """On a phone it would be under a screen of old errors."""
    office.failed("f1", "KeyError: 'discount'")
    office.client.post(f"{HERE}/kill", data={})
    page = office.client.get(HERE).text
    assert page.index(f'href="{HERE}/rearm"') < page.index("KeyError")
