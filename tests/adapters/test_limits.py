"""A path without a time limit is warned of on the line that declares it."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from celery import Celery

from rollout import SubPipeline
from rollout.errors import NoTimeLimit

UNLIMITED: Mapping[str, Any] = {}


def warned(app: Celery, options: Mapping[str, Any]) -> tuple[list[warnings.WarningMessage], int]:
    """What is said when the app is finalized, and on which line the sub-pipeline was declared."""
    frame = inspect.currentframe()
    assert frame is not None
    line = frame.f_lineno + 1
    bills = SubPipeline("bills", app=app, effects="none", **options)
    bills.legacy(lambda: 1)
    bills.concurrent(lambda: 1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        app.finalize()
    return [one for one in said if one.category is NoTimeLimit], line


def test_a_declaration_without_a_limit_is_warned_of() -> None:
    """Who declares it reads it, before any worker hangs; once, with the line."""
    app = Celery("a", broker="memory://", set_as_current=False)
    (said,), line = warned(app, UNLIMITED)
    assert str(said.message).startswith("'bills' has no time limit: a job that hangs keeps its")
    assert "time_limit=SECONDS" in str(said.message)
    assert (said.filename, said.lineno) == (__file__, line)


@pytest.mark.parametrize("option", ["time_limit", "soft_time_limit"])
@pytest.mark.parametrize("of_app", [True, False], ids=["app", "task"])
def test_any_limit_will_do(option: str, of_app: bool) -> None:
    """The task's own, or the app's, also where that is read late."""
    app = Celery("a", broker="memory://", set_as_current=False)
    if of_app:
        app.conf[f"task_{option}"] = 9
    said, _ = warned(app, UNLIMITED if of_app else {option: 9})
    assert said == []
