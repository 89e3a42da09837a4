"""Celery's own lines about a job: arguments and results are masked in them, as everywhere.

At INFO Celery logs what each task gave ("succeeded in 0.1s: ..."), and hands arguments to
formatters that write all of a record. Nobody has noted who reads a worker's log.
"""

import logging
from typing import Any
from weakref import WeakSet

from rollout.adapters.celery.amqp import pipelines_of

MASKED = "(masked)"
"""As the desk says it, which a worker does not load."""

_LOGGERS = ("celery.app.trace", "celery.worker.strategy")
_THEIRS = ("args", "kwargs", "return_value")
_NOTHING = (None, "", "None", "()", "{}")
_apps: WeakSet[Any] = WeakSet()


class OwnLines(logging.Filter):
    """Lets every record pass, with a mask over what belongs to a job of a sub-pipeline."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the values of which Celery makes its line, and those it gives beside them."""
        for values in (record.args, getattr(record, "data", None)):
            if isinstance(values, dict) and _is_ours(values.get("name")):
                for name in _THEIRS:
                    if values.get(name) not in _NOTHING:
                        values[name] = MASKED
        return True


_FILTER = OwnLines()


def mask_own_lines(app: Any) -> None:
    """Mask the lines about an app's sub-pipelines, in this process and in those it forks."""
    _apps.add(app)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def _is_ours(task_name: object) -> bool:
    return any(task_name in pipelines_of(app) for app in _apps)
