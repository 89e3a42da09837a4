"""Lets a retry begin when the run before it is over, on however slow a machine.

Celery sends a retry's message before it marks the job as retried. Where another process is faster,
the mark comes after the end: on bare Celery, too, and then it hides it.
"""

import time
from pathlib import Path
from typing import Any

from tests.celery_conformance.bases import FOLDER
from tests.celery_conformance.notes import PATIENCE_S


def note_mark(request: Any) -> None:
    """The run of this request is marked as retried."""
    _mark(request, request.retries).touch()


def wait_for_mark(request: Any) -> None:
    """Wait until the run before this one is marked. In eager mode it ends after this one."""
    if not request.retries or request.is_eager:
        return
    before, deadline = _mark(request, request.retries - 1), time.monotonic() + PATIENCE_S
    while not before.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _mark(request: Any, retries: int) -> Path:
    queue = str(request.delivery_info["routing_key"])
    path = "concurrent" if queue.endswith(".concurrent") else "legacy"  # each counts its own
    return FOLDER / f"marked-{request.id.replace('/', '-')}-{path}-{retries}"
