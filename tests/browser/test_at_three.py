"""Three in the morning: find what is sick, stop it with a thumb, see that it is stopped, lift it.

Each with scripts and without: streams and swaps are an enhancement only.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from rollout.control.access import Role
from rollout.routing.stages import Event
from tests.browser.conftest import DESK, PATIENCE_MS, PHONE, OpenPage, OpenStage
from tests.browser.stage import C, L, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

WITH_AND_WITHOUT = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
expect.set_options(timeout=PATIENCE_MS)


def place(target: Locator) -> FloatRect:
    """Where it lies; a swap of its part of the page takes it away for a moment."""
    boxes: list[FloatRect] = []

    def there() -> bool:
        box = target.bounding_box()
        boxes.extend([box] if box else [])
        return box is not None

    wait_until(there, f"{target} has a place", PATIENCE_MS / 1000)
    return boxes[0]


def touch(page: Page, name: str, *, of: str = "button") -> None:
    """Touch what has this name; it lies on the screen and is large enough for a thumb."""
    target = page.get_by_role(of, name=name, exact=True)  # type: ignore[arg-type]
    target.scroll_into_view_if_needed()
    box = place(target)
    if of == "button":
        assert box["height"] >= 44, f"{name} is {box['height']} pixels high"
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= page.viewport_size["width"]  # type: ignore[index]
    target.click()


@WITH_AND_WITHOUT
def test_the_sick_one_is_found_and_killed(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """From the overview to an acknowledged kill on a phone, in one look and three touches."""
    stage = opened()
    page = look(stage.address, scripts=scripts)
    row = page.locator(".row").first
    expect(row).to_contain_text("Sick")
    expect(row).to_contain_text("KeyError: 'discount'")
    assert place(row)["y"] < PHONE["height"] / 2
    row.get_by_role("link", name="invoices", exact=True).click()

    kill = page.get_by_role("button", name="Kill invoices…")
    box = place(kill)
    assert PHONE["height"] / 2 < box["y"] < PHONE["height"], "under the thumb, without scrolling"
    touch(page, "Kill invoices…")
    expect(page.locator(".consequence")).to_have_text("34 waiting, 2 running go to legacy.")
    assert not stage.ledger.control("invoices").killed, "the first touch changes nothing"
    touch(page, "Kill invoices now")

    expect(page.get_by_role("heading", level=1)).to_contain_text("invoices is killed")
    expect(page.locator(".halves")).to_contain_text(re.compile(r"starts blocked\s*yes, within"))
    expect(page.locator(".halves")).to_contain_text(re.compile(r"commits fenced\s*yes, within"))
    expect(page.locator(".halves")).to_contain_text("0 waiting, 0 running: none is left")
    assert stage.ledger.control("invoices").killed
    assert stage.runtime.control.read("invoices").killed

    page.get_by_label("Why did you kill it?").fill("totals differ")
    touch(page, "Keep the reason")
    expect(page.locator(".halves")).to_contain_text("totals differ")


@WITH_AND_WITHOUT
def test_a_second_kill_says_that_it_is_harmless(
    opened: OpenStage, look: OpenPage, scripts: bool
) -> None:
    """Whoever is not sure presses again."""
    stage = opened()
    stage.runtime.changes.kill("invoices", "bo", "x")
    page = look(f"{stage.address}sub-pipelines/invoices", scripts=scripts)
    touch(page, "Kill again…")
    expect(page.locator(".consequence")).to_contain_text("killed already")
    touch(page, "Kill invoices now")
    expect(page.get_by_text("Killing again is harmless")).to_be_visible()


@WITH_AND_WITHOUT
def test_from_any_page_two_touches(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """Where no single one is meant, the second touch says which, the sick one first."""
    stage = opened()
    page = look(f"{stage.address}policy", scripts=scripts)
    touch(page, "Kill…")
    expect(page.locator(".killlist li").first).to_contain_text("34 waiting, 2 running")
    touch(page, "Kill invoices now")
    expect(page.get_by_role("heading", level=1)).to_contain_text("invoices is killed")


@WITH_AND_WITHOUT
def test_rearming_is_harder(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """The name is typed, and the reason is not lost when it was mistyped."""
    stage = opened()
    stage.runtime.changes.kill("invoices", "bo", "wrong totals")
    page = look(f"{stage.address}sub-pipelines/invoices/killed", scripts=scripts)
    touch(page, "Rearm…", of="link")
    expect(page.locator("main")).to_contain_text("wrong totals")
    page.get_by_label("Type the name").fill("invoice")
    page.get_by_label("What was mended").fill("release 43 is out")
    touch(page, "Rearm invoices")
    expect(page.get_by_role("alert")).to_contain_text("the name to type is 'invoices'")
    assert stage.ledger.control("invoices").killed
    page.get_by_label("Type the name").fill("invoices")
    expect(page.get_by_label("What was mended")).to_have_value("release 43 is out")
    touch(page, "Rearm invoices")
    expect(page.get_by_role("heading", level=1)).to_contain_text("invoices")
    assert not stage.ledger.control("invoices").killed


@WITH_AND_WITHOUT
def test_a_second_person_rearms(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """Two people sign in; who killed is refused, the colleague is not."""
    stage = opened(policy={"rearm_second_person": True}, web_sign_in="token")

    def signed_in(who: str) -> Page:
        made = stage.runtime.tokens.create(who, Role.ADMIN, None, None, "ana")
        page = look(f"{stage.address}sub-pipelines/invoices", scripts=scripts)
        page.get_by_label("Token").fill(made.secret)
        touch(page, "Sign in")
        expect(page.get_by_role("heading", level=1)).to_contain_text("invoices")
        return page

    first, second = signed_in("cara"), signed_in("dan")
    touch(first, "Kill invoices…")
    touch(first, "Kill invoices now")
    for page, says in ((first, "you killed it"), (second, "you may rearm it")):
        page.goto(f"{stage.address}sub-pipelines/invoices/rearm")
        expect(page.locator(".note")).to_contain_text(says)
        page.get_by_label("Type the name").fill("invoices")
        page.get_by_label("What was mended").fill("mended")
        touch(page, "Rearm invoices")
        if page is first:
            expect(page.get_by_role("alert")).to_contain_text("second person")
            assert stage.ledger.control("invoices").killed
    wait_until(lambda: not stage.ledger.control("invoices").killed, "it is rearmed")


@WITH_AND_WITHOUT
def test_an_expired_session_keeps_the_typed_reason(
    opened: OpenStage, look: OpenPage, scripts: bool
) -> None:
    """What was typed is not lost because somebody has to sign in again."""
    stage = opened(web_sign_in="token")
    made = stage.runtime.tokens.create("cara", Role.ADMIN, None, None, "ana")
    page = look(f"{stage.address}sub-pipelines/payments/change", scripts=scripts)
    page.get_by_label("Token").fill(made.secret)
    touch(page, "Sign in")
    stage.runtime.tokens.revoke(made.token.token_id)
    page.locator("#reason-freeze").fill("stocktaking until Monday")
    touch(page, "Freeze payments")
    expect(page.get_by_text("stocktaking until Monday")).to_be_visible()
    assert not stage.ledger.control("payments").frozen
    again = stage.runtime.tokens.create("cara", Role.ADMIN, None, None, "ana")
    page.get_by_label("Token").fill(again.secret)
    touch(page, "Sign in")
    expect(page.locator("#reason-freeze")).to_have_value("stocktaking until Monday")
    touch(page, "Freeze payments")
    expect(page.locator("#head")).to_contain_text("frozen")


@WITH_AND_WITHOUT
def test_failures_are_retried(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """From the group of what failed, by a preview, to legacy."""
    stage = opened()
    page = look(f"{stage.address}sub-pipelines/invoices", scripts=scripts, size=DESK)
    page.get_by_role("link", name="5 failed and kept").click()
    expect(page.locator(".group").first).to_contain_text(
        "5 of invoices: ValueError: no address of #"
    )
    touch(page, "Retry all of invoices…", of="link")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Retry 5 jobs of invoices?")
    assert stage.queues.sent == []
    touch(page, "Retry them")
    expect(page.get_by_role("heading", level=1)).to_have_text("5 accepted again")
    assert len(stage.queues.sent) == 5


@WITH_AND_WITHOUT
def test_a_decision_is_followed_to_its_evidence(
    gallery: Stage, look: OpenPage, scripts: bool
) -> None:
    """What was decided, on which numbers, and that it would be decided so again."""
    page = look(f"{gallery.address}sub-pipelines/payments", scripts=scripts, size=DESK)
    page.get_by_role("link", name="evidence").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hold")
    expect(page.get_by_role("columnheader", name="would show from")).to_be_visible()
    touch(page, "Replay it", of="link")
    expect(page.get_by_text("The same inputs give the same decision.")).to_be_visible()


@WITH_AND_WITHOUT
def test_a_drill_is_foreseen_begun_and_ended(
    opened: OpenStage, look: OpenPage, scripts: bool
) -> None:
    """A refused one says why and keeps the form; one that fits is begun, watched and ended."""
    stage = opened()
    for _ in range(50):
        stage.job("payments", C, 0.4)
        stage.job("payments", L, 0.5)
        stage.clock.at += timedelta(seconds=4)
    page = look(f"{stage.address}sub-pipelines/payments", scripts=scripts)
    touch(page, "Drill payments…", of="link")
    page.get_by_label("Jobs it may hurt").fill("5000")
    page.locator("#path").select_option("concurrent")
    touch(page, "Say what it would do…")
    expect(page.get_by_role("alert")).to_contain_text("larger than the scope")
    page.get_by_label("Jobs it may hurt").fill("3")
    page.get_by_label("Seconds that the fault is on").fill("60")
    touch(page, "Say what it would do…")
    expect(page.locator(".consequence")).to_contain_text(
        "raise for 60 s on up to 3 jobs of the concurrent path"
    )
    assert stage.ledger.drills("payments", 10) == [], "the first touches change nothing"
    page.get_by_label("Why, for the log").fill("weekly")
    touch(page, "Begin the drill on payments")
    expect(page.get_by_role("heading", level=1)).to_have_text("Drill of payments: runs")
    wait_until(lambda: stage.runtime.plans.planted("payments") is not None, "it is on", 30)
    touch(page, "End the drill")
    expect(page.get_by_role("heading", level=1)).to_have_text("Drills of payments")
    wait_until(lambda: stage.runtime.plans.planted("payments") is None, "it is off", 30)


@WITH_AND_WITHOUT
def test_keyboard_only(opened: OpenStage, look: OpenPage, scripts: bool) -> None:
    """A kill without a pointer: each stop is seen, and Enter is enough."""
    stage = opened()
    page = look(f"{stage.address}sub-pipelines/invoices/kill", scripts=scripts, size=DESK)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(2):
        page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Kill invoices now")
    expect(button).to_be_focused()
    outline = button.evaluate("one => getComputedStyle(one).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("invoices is killed")


def test_a_change_is_seen_without_loading(opened: OpenStage, look: OpenPage) -> None:
    """The stream says that there is something new, and the page swaps what changed."""
    stage = opened()
    page = look(f"{stage.address}sub-pipelines/payments", size=DESK)
    page.evaluate("window.loadedOnce = true")
    stage.change("payments", Event.FREEZE, "stocktaking")
    expect(page.locator("#head")).to_contain_text("frozen")
    assert page.evaluate("window.loadedOnce") is True


def test_without_scripts_the_page_loads_itself_again(opened: OpenStage, look: OpenPage) -> None:
    """A meta element polls; pages that wait for their reader do not."""
    stage = opened()
    page = look(f"{stage.address}sub-pipelines/payments", scripts=False, size=DESK)
    assert 'http-equiv="refresh"' in page.content()
    stage.change("payments", Event.FREEZE, "stocktaking")
    expect(page.locator("#head")).to_contain_text("frozen")
    page.goto(f"{stage.address}sub-pipelines/payments/kill")
    assert 'http-equiv="refresh"' not in page.content()


def test_the_page_greys_when_nobody_leads(opened: OpenStage, look: OpenPage) -> None:
    """Stale data does not look live: the server itself says so."""
    stage = opened()
    page = look(stage.address, scripts=False, size=DESK)
    wait_until(lambda: not stage.runtime.desk.status().leader.alive, "the lease is over", 30)  # type: ignore[union-attr]
    page.reload()
    expect(page.locator("body.silent")).to_be_attached()
    expect(page.locator("#asof")).to_contain_text("NOBODY leads")


def test_the_page_greys_when_the_line_is_cut(opened: OpenStage, look: OpenPage) -> None:
    """A page that hears nothing says so, in words."""
    stage = opened()
    page = look(stage.address, size=DESK)
    assert stage.server is not None
    stage.server.should_exit = True
    expect(page.locator("body.cut")).to_be_attached(timeout=60_000)
    expect(page.get_by_text("This page hears nothing new")).to_be_visible()
