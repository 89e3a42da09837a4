"""Every page, in both themes: axe finds nothing, nothing leaves the screen, nothing is refused."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import DESK, PHONE, OpenPage
from tests.browser.stage import Stage

pytestmark = pytest.mark.browser

PAGES = (
    "", "?show=sick", "?q=nothing-is-called-so", "sub-pipelines/invoices", "sub-pipelines/payments",
    "sub-pipelines/reports", "sub-pipelines/exports", "sub-pipelines/refunds",
    "sub-pipelines/invoices/kill", "sub-pipelines/reports/killed", "sub-pipelines/reports/rearm",
    "sub-pipelines/payments/change", "kill", "killed", "jobs?kind=failed&name=invoices",
    "jobs?kind=waiting", "jobs?q=customer-7&name=invoices", "jobs/inv-0003",
    "jobs/retry?name=invoices", "decisions/1", "decisions/1?again=true", "drills",
    "drills?name=payments", "policy", "policy?name=invoices", "log", "sign-in",
)  # fmt: skip

AT_A_DESK = ("", "sub-pipelines/invoices", "jobs?kind=failed&name=invoices")
"""Pages that lay themselves out otherwise where there is room."""

ABSENT = ("sub-pipelines/nothing", "jobs/nothing", "nothing")


def faults(page: Page) -> list[str]:
    """What axe finds, with the place of each."""
    results = Axe().run(page)
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in results.response["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_in_anybodys_way(gallery: Stage, look: OpenPage, path: str, theme: str) -> None:
    """Contrast, names, order of headings, landmarks: on the phone's screen and a desk's."""
    page = look(gallery.address + path, theme=theme, size=PHONE)
    assert faults(page) == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{path} is {wide} pixels wide"
    if path in AT_A_DESK:
        page.set_viewport_size(DESK)  # type: ignore[arg-type]
        assert faults(page) == []


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there(gallery: Stage, look: OpenPage, path: str) -> None:
    """A page that says so is a page as well."""
    page = look(gallery.address + path, status=404)
    assert faults(page) == []
