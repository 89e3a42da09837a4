"""Warns of a declaration without a time limit: what hangs keeps its process."""

import sys
import warnings
from dataclasses import dataclass
from typing import Any

from rollout.errors import NoTimeLimit


@dataclass(frozen=True, slots=True)
class Place:
    """The line of a program on which something was declared."""

    file: str
    line: int


def declared_at() -> Place:
    """The line outside of rollout that is declaring now."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("rollout."):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def warn_unlimited(app: Any, task: Any, name: str, place: Place) -> None:
    """Warn of a sub-pipeline whose jobs may run for ever, on the line that declares it.

    The limits are those of the task, else of the app, whose configuration is read by now. A kill
    takes a hanging job from its process and gives it to legacy; the process hangs on, and the
    concurrent path has one less.
    """
    limits = (
        task.time_limit,
        task.soft_time_limit,
        app.conf.task_time_limit,
        app.conf.task_soft_time_limit,
    )
    if all(limit is None for limit in limits):
        sentence = (
            f"{name!r} has no time limit: a job that hangs keeps its process, also after a kill; "
            "give SubPipeline(..., time_limit=SECONDS), or the app task_time_limit"
        )
        warnings.warn_explicit(sentence, NoTimeLimit, place.file, place.line)
