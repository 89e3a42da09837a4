"""Chromium, and sites for it: one with a day behind it to look at, others to act on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from rollout.policy.policy import Policies, Policy
from rollout.routing.stages import Event
from tests.browser.stage import C, L, Stage, open_stage

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}
PATIENCE_MS = 30_000
"""Other jobs on this machine may hold its two cores."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, as `make test-browser` installs it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "no chromium found; `make test-browser` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def no_variables() -> Iterator[None]:
    """An environment without ROLLOUT_ variables."""
    given = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("ROLLOUT_")}
    yield
    os.environ.update(given)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, migrated_file: bytes) -> Iterator[Stage]:
    """A site with a day of history, to be looked at only."""
    stage = open_stage(tmp_path_factory.mktemp("gallery"), migrated_file, Stage.play)
    stage.serve()
    stage.lead()
    yield stage
    stage.close()


def short_day(stage: Stage) -> None:
    """One sick sub-pipeline with jobs on its concurrent path, and one that is fine."""
    for name in ("invoices", "payments"):
        stage.declare(name)
        stage.change(name, Event.START, "the pilot begins")
        stage.change(name, Event.SCOPE, "proved", 2500)
    stage.turn()
    for _ in range(6):
        stage.job("payments", C, 0.4)
        stage.job("payments", L, 0.5)
        stage.job("invoices", C, 0.4, error="KeyError: 'discount'")
    for number in range(5):
        stage.job("invoices", L, 0.4, error=f"ValueError: no address of {number}", kept=True)
    for _ in range(34):
        stage.job("invoices", C, None)
    for _ in range(2):
        stage.started("invoices")
    stage.turn()


OpenStage = Callable[..., Stage]


@pytest.fixture
def opened(tmp_path: Path, migrated_file: bytes) -> Iterator[OpenStage]:
    """Opens a site to act on; `policy` gives fields of the default policy."""
    stages: list[Stage] = []

    def open_it(policy: dict[str, Any] | None = None, **settings: Any) -> Stage:
        stage = open_stage(tmp_path, migrated_file, short_day)
        stages.append(stage)
        values = {"drills_min": 1, "bake_days": 0.2, **(policy or {})}
        stage.runtime.__dict__["policies"] = Policies(default=Policy(**values))
        stage.serve(**settings)
        return stage

    yield open_it
    for stage in stages:
        stage.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def look(browser: Browser) -> Iterator[OpenPage]:
    """Opens a page at an address; complaints of the browser fail the test in the end."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(
        address: str,
        *,
        scripts: bool = True,
        size: dict[str, int] | None = None,
        theme: str = "light",
        status: int = 200,
    ) -> Page:
        context = browser.new_context(
            viewport=size or PHONE,  # type: ignore[arg-type]
            java_script_enabled=scripts,
            color_scheme=theme,  # type: ignore[arg-type]
            has_touch=(size or PHONE) == PHONE,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complain(complaints, message.type, message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == status
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def complain(complaints: list[str], kind: str, text: str) -> None:
    """Keep what the browser complains about, such as a breach of the content policy."""
    expected = "Failed to load resource" in text or "ERR_" in text
    if kind in ("error", "warning") and not expected:
        complaints.append(text)
