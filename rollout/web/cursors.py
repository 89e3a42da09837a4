"""Where a list goes on, and how far back it may be asked for."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime, timedelta
from typing import Any

from rollout.web.problems import BadRequest

DAYS_MAX = 366

ID_MAX = 2**53
"""Larger numbers name nothing, and no database column holds all of them."""


def bounded(since: datetime | None, now: datetime) -> datetime | None:
    """A bound of time; one without a zone is UTC. Raises BadRequest for one too far back."""
    if since is None:
        return None
    at = since if since.tzinfo else since.replace(tzinfo=now.tzinfo)
    year = timedelta(days=DAYS_MAX)
    if abs(at.year - now.year) > 2 or now - at > year or at - now > year:
        raise BadRequest(f"since must lie in the last {DAYS_MAX} days, got {since}", "ask for less")
    return at


def cursor_of(*parts: object) -> str:
    """Where the next page begins, as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def cursor_parts(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """What `cursor_of` was given. Raises BadRequest."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != len(kinds)
        or not all(type(part) is kind for part, kind in zip(parts, kinds, strict=True))
        or any(type(part) is int and not 0 <= part <= ID_MAX for part in parts)
        or any("\x00" in part for part in parts if type(part) is str)
    ):
        raise BadRequest(
            f"cursor must be the `next` of the page before, got {cursor[:100]!r}", "begin again"
        )
    return tuple(parts)


def job_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Admission and id of the last job of the page before. Raises BadRequest."""
    if cursor is None:
        return None
    at, job_id = cursor_parts(cursor, str, str)
    try:
        return datetime.fromisoformat(at), job_id
    except ValueError:
        raise BadRequest("cursor must be the `next` of the page before", "begin again") from None
