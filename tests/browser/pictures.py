"""Takes the pictures of README and docs: `python -m tests.browser.pictures`."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from playwright.sync_api import sync_playwright

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.migrate import migrate
from tests.browser.stage import Stage, open_stage

FOLDER = Path(__file__).parents[2] / "docs" / "web"
DESK, PHONE = (1200, 860), (390, 780)
PICTURES = (
    ("overview", "", DESK, "light"),
    ("overview-dark", "", DESK, "dark"),
    ("overview-phone", "", PHONE, "dark"),
    ("sub-pipeline", "sub-pipelines/payments", DESK, "light"),
    ("sub-pipeline-dark", "sub-pipelines/payments", DESK, "dark"),
    ("kill-phone", "sub-pipelines/invoices/kill", PHONE, "light"),
    ("failed-jobs", "jobs?kind=failed&name=invoices", DESK, "light"),
    ("killed-phone", None, PHONE, "light"),
    ("killed-phone-dark", "last", PHONE, "dark"),
)
"""Name, path (None: the acknowledgement of a kill), size, theme; the kill comes last."""


def take(folder: Path) -> list[Path]:
    """Play the day, open each page, and write its picture."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    chromium = shutil.which("chromium") or sys.exit("no chromium; `make test-browser` installs it")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with TemporaryDirectory() as state, sync_playwright() as playwright:
        empty = Path(state) / "empty.db"
        database = Database(f"sqlite:///{empty}")
        migrate(database)
        database.close()
        place = Path(state) / "stage"
        place.mkdir()
        os.chdir(place)
        stage = open_stage(place, empty.read_bytes(), Stage.play)
        address = stage.serve()
        stage.lead()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        last = ""
        for name, path, (width, height), theme in PICTURES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,  # type: ignore[arg-type]
            )
            context.set_default_timeout(90_000)
            page = context.new_page()
            if path is None:
                page.goto(f"{address}sub-pipelines/invoices/kill")
                page.get_by_role("button", name="Kill invoices now").click()
                page.get_by_text("starts blocked").wait_for()
                last = page.url
            else:
                page.goto(last if path == "last" else address + path)
            file = folder / f"{name}.png"
            page.screenshot(path=str(file))
            made.append(file)
            context.close()
        browser.close()
        stage.close()
    return made


if __name__ == "__main__":
    for one in take(FOLDER):
        print(f"{one.name}: {one.stat().st_size // 1024} KB")  # noqa: T201  # its report
