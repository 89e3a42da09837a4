"""Behind a proxy under a path; with five hundred sub-pipelines."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from rollout.routing.stages import Event
from tests.browser.conftest import DESK, OpenPage, OpenStage
from tests.browser.proxy import cutting_proxy
from tests.browser.test_at_three import touch

pytestmark = pytest.mark.browser

BASE = "/ops/rollout"
MANY = 500


@pytest.mark.parametrize(
    ("cut", "slash", "scripts"),
    [(True, "/", True), (True, "", False), (False, "/", False), (False, "", True)],
)
def test_under_a_base_path(
    opened: OpenStage, look: OpenPage, cut: bool, slash: str, scripts: bool
) -> None:
    """Files, links, forms and streams of a kill, whether or not the proxy cuts the path off."""
    stage = opened(web_base_path=BASE)
    with ExitStack() as stack:
        address = stage.address
        if cut:
            address = stack.enter_context(cutting_proxy(stage.address, BASE))
        page = look(address.rstrip("/") + slash, scripts=scripts, size=DESK)
        styled = page.locator(".killbar").evaluate("one => getComputedStyle(one).position")
        assert styled == "fixed", "the style sheet was found"
        page.get_by_role("link", name="invoices", exact=True).first.click()
        if scripts:
            page.evaluate("window.loadedOnce = true")
            stage.change("invoices", Event.FREEZE, "stocktaking")
            expect(page.locator("#head")).to_contain_text("frozen")
            assert page.evaluate("window.loadedOnce") is True, "the stream was found"
        touch(page, "Kill invoices…")
        touch(page, "Kill invoices now")
        expect(page.get_by_role("heading", level=1)).to_contain_text("invoices is killed")
        assert page.url.startswith(f"{address}sub-pipelines/invoices/killed")
        assert stage.ledger.control("invoices").killed
        page.close()


def test_five_hundred_are_readable(opened: OpenStage, look: OpenPage) -> None:
    """The sick one is first, a hundred are shown, the rest is a touch away, a name is found."""
    stage = opened()
    for number in range(MANY):
        stage.declare(f"shop-{number:03d}")
    stage.runtime.tick.turn()
    page = look(stage.address, scripts=False)
    expect(page.locator(".row").first).to_contain_text("KeyError: 'discount'")
    expect(page.locator(".filters")).to_contain_text(f"All {MANY + 2}")
    expect(page.locator(".row")).to_have_count(100)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.viewport_size["width"]  # type: ignore[index]
    touch(page, f"Show 100 more of {MANY + 2}", of="link")
    expect(page.locator(".row")).to_have_count(200)
    page.get_by_placeholder("Find by name").fill("shop-477")
    touch(page, "Find")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row")).to_contain_text("shop-477")
