"""Errors as RFC 9457 problems: a stable type, what was expected, what came, what to do."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.responses import Response

from rollout.control.access import NotPermittedHere
from rollout.control.requests import KeyInUse, KeyReused
from rollout.control.tokens import UnknownToken, WrongToken
from rollout.desk.job_search import NoWholeId
from rollout.drills.errors import BadDrill, DrillRefused
from rollout.errors import (
    BrokerUnreachable,
    ControlStoreUnreachable,
    IllegalTransition,
    LedgerSlow,
    LedgerUnreachable,
    NotShadowable,
    ReasonMissing,
    RolloutError,
    ScopeOutOfRange,
    StaleRevision,
    UnknownDecision,
    UnknownJob,
    UnknownSubPipeline,
    UnreadableDecision,
    WrongSettings,
)
from rollout.web.shared import TooSlowToRead

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:rollout:problem:"


class BadRequest(RolloutError):
    """A request that cannot be read; nothing was changed."""


class NotSignedIn(RolloutError):
    """Nobody said who asks, or what they said opens nothing."""

    def __init__(self, problem: str = "this takes a token or a session, got none") -> None:
        super().__init__(
            problem, "sign in, or send `Authorization: Bearer ...` (`rollout token create`)"
        )


class Foreign(RolloutError):
    """A request that another site made a browser send, or one for another host."""


class TooMany(RolloutError):
    """More requests than one caller may make; nothing was changed."""

    def __init__(self, what: str, again_s: int) -> None:
        self.again_s = again_s
        super().__init__(f"too many {what}", f"wait {again_s} s")


class TooLarge(RolloutError):
    """A body larger than any request needs."""

    def __init__(self, size_max: int) -> None:
        super().__init__(f"a request may carry {size_max} bytes, got more", "send less")


class NoSuchPage(RolloutError):
    """An address at which there is nothing."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {path[:200]!r}", "the overview has links to all")


_STATUS: tuple[tuple[type[RolloutError], int], ...] = (
    (NotSignedIn, 401),
    (NotPermittedHere, 403),
    (Foreign, 403),
    (NoSuchPage, 404),
    (UnknownSubPipeline, 404),
    (UnknownJob, 404),
    (NoWholeId, 404),
    (UnknownDecision, 404),
    (UnknownToken, 404),
    (BadDrill, 404),
    (DrillRefused, 409),
    (IllegalTransition, 409),
    (NotShadowable, 409),
    (KeyInUse, 409),
    (UnreadableDecision, 409),
    (StaleRevision, 412),
    (TooLarge, 413),
    (ScopeOutOfRange, 422),
    (ReasonMissing, 422),
    (WrongToken, 422),
    (KeyReused, 422),
    (TooMany, 429),
    (LedgerUnreachable, 503),
    (ControlStoreUnreachable, 503),
    (BrokerUnreachable, 503),
    (TooSlowToRead, 503),
    (WrongSettings, 500),
    (BadRequest, 400),
)


def status_of(error: RolloutError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def kind_of(error: RolloutError) -> str:
    """The stable name of an error's kind: its class in words."""
    kind = type(error)
    if isinstance(error, LedgerUnreachable) and not isinstance(error, LedgerSlow):
        kind = LedgerUnreachable
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def problem(error: RolloutError, request_id: str, current: Any = None) -> Response:
    """The answer to a request that failed.

    Args:
        error: What is wrong.
        request_id: The request's.
        current: The state as it is, where that helps.
    """
    status = status_of(error)
    body = {
        "type": TYPES + kind_of(error),
        "title": kind_of(error).replace("-", " ").capitalize(),
        "status": status,
        "detail": error.problem,
        "todo": error.hint,
        "instance": f"urn:rollout:request:{request_id}",
        "request_id": request_id,
    }
    if current is not None:
        body["current"] = current
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.again_s)
    text = json.dumps(body, ensure_ascii=True)
    return Response(text, status, headers, media_type=MEDIA_TYPE)
