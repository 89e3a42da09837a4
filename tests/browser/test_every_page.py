"""Every page, in both themes: axe finds nothing, nothing leaves the screen, nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import DESK, PATIENCE_MS, PHONE, complain
from tests.browser.stage import Stage

pytestmark = pytest.mark.browser

PAGES = (
    "", "?show=sick", "?q=nothing-is-called-so", "sub-pipelines/invoices", "sub-pipelines/payments",
    "sub-pipelines/reports", "sub-pipelines/exports", "sub-pipelines/refunds",
    "sub-pipelines/invoices/kill", "sub-pipelines/reports/killed", "sub-pipelines/reports/rearm",
    "sub-pipelines/payments/change", "kill", "killed", "jobs?kind=failed&name=invoices",
    "jobs?kind=waiting", "jobs?q=customer-7&name=invoices", "jobs/inv-0003",
    "jobs/retry?name=invoices", "decisions/1", "decisions/1?again=true", "drills",
    "drills?name=payments", "drills/raise-concurrent", "sub-pipelines/payments/drill",
    "sub-pipelines/payments/drill?fault=raise&path=both", "policy", "policy?name=invoices", "log",
    "runbooks", "runbooks/reverted.md", "runbooks/restart.md", "sign-in",
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


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for all pages: opening one for each costs more than looking."""
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", [*PAGES, *ABSENT])
def test_nothing_is_in_anybodys_way(gallery: Stage, tab: Page, path: str) -> None:
    """Contrast, names, order of headings, landmarks: in both themes, on a phone's and a desk's."""
    complaints: list[str] = []
    tab.on("console", lambda message: complain(complaints, message.type, message.text))
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    tab.emulate_media(color_scheme="light")
    answer = tab.goto(gallery.address + path)
    assert answer is not None
    assert answer.status == (404 if path in ABSENT else 200)
    wide = tab.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{path} is {wide} pixels wide"
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        assert faults(tab) == [], theme
        if path in AT_A_DESK:
            tab.set_viewport_size(DESK)  # type: ignore[arg-type]
            assert faults(tab) == [], f"{theme}, at a desk"
    assert complaints == []
