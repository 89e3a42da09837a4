"""Who has to sign in again finds what was typed in its form."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from rollout.control.access import Role
from rollout.web.drafts import DRAFTS_MAX, KEPT_S, Drafts
from tests.builders import NAME
from tests.hand_clock import HandClock
from tests.web.conftest import OpenOffice

FORMS = [
    (f"/sub-pipelines/{NAME}/change/freeze", {"reason": "stock <taking>"}, "stock &lt;taking&gt;"),
    (f"/sub-pipelines/{NAME}/change/scope", {"scope_bp": "1234", "reason": "x"}, 'value="1234"'),
    (f"/sub-pipelines/{NAME}/rearm", {"typed": NAME, "reason": "mended it"}, "mended it"),
    (f"/sub-pipelines/{NAME}/kill", {"reason": "wrong totals"}, "wrong totals"),
    (f"/sub-pipelines/{NAME}/drill", {"fault": "delay", "duration_s": "77"}, 'value="77"'),
    ("/jobs/retry", {"name": NAME, "limit": "7", "reason": "again"}, 'value="7"'),
]


@pytest.mark.parametrize(("path", "typed", "shown"), FORMS, ids=[one[0] for one in FORMS])
def test_the_form_is_there_again(
    open_office: OpenOffice, path: str, typed: dict[str, str], shown: str
) -> None:
    """From the refused post through the sign-in to the page with its fields filled in."""
    office = open_office(web_sign_in="token")
    office.declare()
    if path.endswith("rearm"):
        office.world.runtime.changes.kill(NAME, "bo", "x")
    before = office.world.ledger.control(NAME)
    client = office.another()
    refused = client.post(path, data=typed)
    assert refused.status_code == 401
    after = re.search(r'name="next" value="([^"]+)"', refused.text)
    assert after is not None
    there = after[1].replace("&amp;", "&")
    assert "reason" not in parse_qs(urlsplit(there).query)
    signed = client.post("/sign-in", data={"token": office.token(Role.ADMIN), "next": there})
    page = client.get(signed.headers["location"])
    assert page.status_code == 200
    assert shown in page.text
    assert office.world.ledger.control(NAME) == before


def test_a_refused_form_is_found_again(open_office: OpenOffice) -> None:
    """A slip of the thumb costs no reason: the error leads back to what was typed."""
    office = open_office()
    office.declare()
    typed = {"scope_bp": "12000", "reason": "half of <them>"}
    refused = office.client.post(f"/sub-pipelines/{NAME}/change/scope", data=typed)
    assert refused.status_code == 422
    assert '<body class=""' in refused.text, "an error is nothing old, and not grey"
    back = re.search(r'href="([^"]+)">Back to the form', refused.text)
    assert back is not None
    page = office.client.get(back[1].replace("&amp;", "&")).text
    assert 'value="12000"' in page
    assert 'value="half of &lt;them&gt;"' in page


def test_a_draft_is_of_its_form_alone() -> None:
    """Neither on another page, nor in another form of the page, nor for ever."""
    clock = HandClock()
    drafts = Drafts(clock)
    there = drafts.keep("/sub-pipelines/a/change/freeze", {"reason": "why", "token": "secret"})
    assert there is not None
    draft_id = parse_qs(urlsplit(there).query)["draft"][0]
    page = "/sub-pipelines/a/change"
    assert drafts.of(draft_id, page).get("reason", word="freeze") == "why"
    assert drafts.of(draft_id, page).get("reason", word="revert") == ""
    assert drafts.of(draft_id, "/sub-pipelines/b/change").get("reason", word="freeze") == ""
    assert "token" not in drafts.of(draft_id, page).fields
    clock.advance(KEPT_S + 1)
    assert drafts.of(draft_id, page).get("reason", word="freeze") == ""


def test_strangers_fill_no_memory() -> None:
    """Only the newest are kept, and nothing of an empty form."""
    drafts = Drafts(HandClock())
    for number in range(3 * DRAFTS_MAX):
        drafts.keep("/rearm", {"reason": str(number)})
    assert len(drafts._kept) == DRAFTS_MAX
    assert drafts.keep("/kill", {"reason": " "}) is None
