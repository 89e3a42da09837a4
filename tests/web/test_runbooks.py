"""An alarm's runbook is one touch away: a page of the release that needs no ledger."""

from __future__ import annotations

import re

import pytest

from rollout.control.access import Role
from rollout.desk.runbooks import read_runbooks
from tests.builders import NAME
from tests.web.conftest import Office, OpenOffice

HREF = re.compile(r'href="(/runbooks/[^"]+)"')
FILES = sorted(one.file for one in read_runbooks().runbooks)


def test_the_alarm_leads_to_its_runbook(office: Office) -> None:
    """What the page of a killed one names is there, with its commands."""
    office.client.post(f"/sub-pipelines/{NAME}/kill", data={})
    page = office.client.get(f"/sub-pipelines/{NAME}").text
    assert f"/runbooks/concurrent-path-misbehaves.md?name={NAME}" in HREF.findall(page)
    for address in HREF.findall(page):
        found = office.client.get(address)
        assert found.status_code == 200
        assert "What to do</h2>" in found.text
        assert "<pre><code>rollout " in found.text
        assert "NAME" not in found.text
        assert NAME in found.text[found.text.index("<article") : found.text.index("</article>")]


def test_another_s_name_is_not_told_of(open_office: OpenOffice) -> None:
    """A runbook with somebody else's sub-pipeline in it is not there."""
    office = open_office(web_sign_in="token")
    office.declare()
    client = office.bearer(Role.VIEWER, NAME)
    assert client.get(f"/runbooks/reverted.md?name={NAME}").status_code == 200
    assert client.get("/runbooks/reverted.md?name=others").status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_every_runbook_is_a_page_whose_links_lead_somewhere(office: Office, name: str) -> None:
    """Links to other runbooks are pages; nothing points at a file that is not served."""
    text = office.client.get(f"/runbooks/{name}").text
    assert f"rollout runbook {name.removesuffix('.md')}<" in text
    article = text[text.index("<article") : text.index("</article>")]
    for address in re.findall(r'href="([^"]+)"', article):
        assert address.startswith(("/runbooks/", "http")), address
        if address.startswith("/"):
            assert office.client.get(address).status_code == 200


def test_all_are_listed_and_others_are_not_there(office: Office) -> None:
    """By their titles; a path out of the folder opens nothing."""
    listed = office.client.get("/runbooks").text
    assert len(HREF.findall(listed)) == len(FILES)
    for wrong in ("nothing.md", "..%2F..%2FREADME.md", "%2Fetc%2Fpasswd"):
        assert office.client.get(f"/runbooks/{wrong}").status_code == 404


def test_a_runbook_is_read_without_a_ledger(office: Office) -> None:
    """The one for a ledger that is down would be of no use otherwise."""
    office.world.line.cut()
    page = office.client.get("/runbooks/ledger-down.md")
    assert page.status_code == 200
    assert "What to do" in page.text
