"""Puts page and API together: `create_app` gives an ASGI application."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rollout import __version__
from rollout.errors import RolloutError
from rollout.settings import user_name
from rollout.web import (
    acts,
    alert_acts,
    alive,
    drill_acts,
    drill_pages,
    forms,
    job_acts,
    kill_pages,
    live,
    ofrep,
    pages,
    reads,
    signing,
)
from rollout.web.callers import Callers, is_api
from rollout.web.guards import Guards
from rollout.web.problems import BadRequest, NoSuchPage, problem
from rollout.web.render import error_page
from rollout.web.shared import Shared
from rollout.web.site import Site, check_settings
from rollout.wiring import Runtime

STATIC = Path(__file__).parent / "static"


class Defect(RolloutError):
    """A mistake of ours; the log has it under the request's id."""

    def __init__(self) -> None:
        super().__init__("this page has a defect", "the log of `rollout web` has the rest")


def create_app(runtime: Runtime, user: str | None = None) -> Any:
    """Build the application.

    Args:
        runtime: The services; the caller closes them.
        user: Who acts where nobody has to sign in; None for the user of this process.

    Raises:
        WrongSettings: It would listen beyond this machine without a sign-in.
    """
    check_settings(runtime.settings)
    site = Site(runtime, user or user_name(), Shared(runtime.clock))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        app.state.stopping = stopping
        app.state.stream_reads = asyncio.Semaphore(live.READS_MAX)
        yield
        stopping.set()
        site.drilling.close()
        site.shared.close()

    app = FastAPI(
        title="rollout",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
    )
    app.state.site, app.state.callers = site, Callers(site)
    doors = (alive, reads, acts, alert_acts, job_acts, drill_acts, ofrep, live, signing)
    for room in (*doors, forms, kill_pages, drill_pages, pages):
        app.include_router(room.router)
    if runtime.settings.web_sign_in == "oidc":
        from rollout.web import oidc

        app.include_router(oidc.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(RolloutError, _refuse)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _nothing_there)
    app.add_exception_handler(Exception, _defect)
    return Guards(app, site)


def _answer(request: Request, error: RolloutError) -> Response:
    current = getattr(request.state, "current", None)
    if is_api(request):
        return problem(error, request.state.request_id, current)
    return error_page(request, error)


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RolloutError)
    return _answer(request, error)


def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(one) for one in first["loc"] if one != "body") or "the body"
    what = str(first["msg"]).removeprefix("Value error, ")
    given = repr(first.get("input"))[:200]
    came = "" if first["type"] == "missing" else f", got {given}"
    bad = BadRequest(f"{where}: {what}{came}", "see /api/v1/openapi.json for what it takes")
    return _answer(request, bad)


def _nothing_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        bad = BadRequest(f"{request.method} is not for {request.url.path[:200]!r}", "see its page")
        response = _answer(request, bad)
        response.status_code = 405
        return response
    if error.status_code != 404:
        return _answer(request, BadRequest(str(error.detail)[:200], "correct the request"))
    return _answer(request, NoSuchPage(request.url.path))


def _defect(request: Request, error: Exception) -> Response:
    # As text, without the values of variables: there are tokens and reasons among them.
    lines = "".join(traceback.format_exception(error))
    structlog.get_logger("rollout.web").error(
        "defect", request_id=request.state.request_id, path=request.url.path, traceback=lines
    )
    response = _answer(request, Defect())
    response.status_code = 500
    return response
