"""Celery's own lines about a job hold neither its arguments nor its result."""

from __future__ import annotations

import logging

import pytest
from celery import Celery
from celery.app.trace import build_tracer

from rollout.adapters.celery.own_lines import MASKED
from rollout.desk.mask import MASKED as MASKED_BY_THE_DESK
from rollout.pipeline import SubPipeline
from tests.builders import NAME
from tests.world import World

SECRET = "DE89 3704 0044"


def line_of(task: str, level: int, text: str, **values: object) -> logging.LogRecord:
    """A record as Celery makes it, passed through its logger's filters."""
    logger = logging.getLogger("celery.app.trace")
    context = {"id": "1", "name": task, **values}
    record = logger.makeRecord(
        logger.name, level, __file__, 1, text, (context,), None, extra={"data": context}
    )
    logger.filter(record)
    return record


@pytest.fixture
def app(world: World) -> Celery:
    """An app with a sub-pipeline."""
    app = Celery("shop", broker="memory://")
    made = SubPipeline(NAME, app=app, effects="none", task_name="shop.bill", runtime=world.runtime)

    @made.legacy
    def old(iban: str) -> str:
        return iban

    return app


def test_a_result_is_masked_as_celery_logs_it(
    app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery's own tracer runs the task, with its own words; another app's task is left alone."""

    @app.task(name="shop.plain")
    def plain(iban: str) -> str:
        return iban

    texts = {}
    with caplog.at_level(logging.INFO, logger="celery.app.trace"):
        for name in ("shop.bill", "shop.plain"):
            caplog.clear()
            trace = build_tracer(name, app.tasks[plain.name], app=app)
            trace("1", [SECRET], {}, {"id": "1", "task": name, "argsrepr": repr((SECRET,))})
            texts[name] = caplog.text + repr([vars(one) for one in caplog.records])
    assert "succeeded in" in texts["shop.bill"]
    assert SECRET not in texts["shop.bill"]
    assert MASKED in texts["shop.bill"]
    assert SECRET in texts["shop.plain"]


def test_what_formatters_get_beside_the_line_is_masked(app: Celery) -> None:
    """A formatter that writes all of a record writes no argument; its name and error stay."""
    record = line_of(
        "shop.bill", logging.ERROR, "%(name)s %(exc)s", args=f"({SECRET!r},)",
        kwargs="{}", exc="ValueError('closed')",
    )  # fmt: skip
    assert SECRET not in repr(vars(record))
    assert record.getMessage() == "shop.bill ValueError('closed')"
    assert record.data["kwargs"] == "{}"  # type: ignore[attr-defined]


def test_the_mask_is_the_desks() -> None:
    """One word in log, page, API and commands."""
    assert MASKED == MASKED_BY_THE_DESK
