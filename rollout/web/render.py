"""Draws pages: templates, with everything that came from outside made harmless."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rollout.control.access import Caller
from rollout.desk.drills import facts_of, is_detail
from rollout.desk.measured import measured
from rollout.desk.text import at_text, percent, plain, span_text
from rollout.errors import RolloutError
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.web import standing
from rollout.web.problems import NotSignedIn, status_of
from rollout.web.shared import Taken
from rollout.web.site import Site

if TYPE_CHECKING:
    from rollout.desk.board import Board

SHOWN_MAX = 4_000
"""Characters of one text on a page; the API has all of it."""

COUNT_MAX = 10_000


def _harmless(value: Any) -> Any:
    """What every expression of a template passes through, before it is escaped."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        text = plain(value)
        if len(text) > SHOWN_MAX:
            return f"{text[:SHOWN_MAX]} … ({len(text) - SHOWN_MAX:,} more characters)"
        return text
    return "" if value is None else value


def moment(at: datetime | None, missing: str = "never") -> Markup:
    """A time as a `time` element."""
    if at is None:
        return Markup(escape(missing))
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), at_text(utc))


def ago(at: datetime | None, now: datetime, missing: str = "never") -> Markup:
    """How long ago, the time itself in its title."""
    if at is None:
        return Markup(escape(missing))
    span = span_text(max(timedelta(), now - at))
    return Markup('<time datetime="{}" title="{}">{} ago</time>').format(
        at.isoformat(), at_text(at.astimezone(UTC)), span
    )


def said(value: str) -> Markup:
    """A sentence of the desk: what stands in backticks is typed, so it looks like it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_harmless(value)))))


def counted(number: int) -> str:
    """A count with its bound: nobody reads more digits."""
    return f"{number:,}" if number < COUNT_MAX else f"{COUNT_MAX:,}+"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": moment, "ago": ago, "percent": percent, "counted": counted,
        "span": span_text, "said": said,
    }  # fmt: skip
    environment.tests["detail"] = is_detail
    environment.globals |= {
        "facts_of": facts_of, "measured": measured,
        "standing": standing, "PATHS": tuple(JobPath), "ACCEPTED": JobState.ACCEPTED,
        "STARTED": JobState.STARTED,
    }  # fmt: skip
    return environment


_ENVIRONMENT = _environment()


def draw(
    request: Request,
    template: str,
    caller: Caller | None,
    *,
    board: Taken[Board] | None = None,
    status: int = 200,
    still: bool = False,
    about: str | None = None,
    **values: Any,
) -> Response:
    """Draw a page.

    Args:
        request: The request.
        template: Its file.
        caller: Who looks; None where nobody signed in.
        board: What the page speaks of, for its "as of"; None where it could not be read.
        status: The answer's.
        still: The page waits for its reader and is not loaded again by itself.
        about: The sub-pipeline that it is about; its kill switch is that one's.
        values: What the template takes.
    """
    site: Site = request.app.state.site
    text = _ENVIRONMENT.get_template(template).render(
        site=site,
        url=site.url,
        caller=caller,
        board=board,
        still=still,
        about=about,
        path=request.url.path,
        now=site.runtime.clock.now(),
        request_id=request.state.request_id,
        draft=site.drafts.of(request.query_params.get("draft"), request.url.path),
        **values,
    )
    return HTMLResponse(text, status)


def error_page(request: Request, error: RolloutError) -> Response:
    """What was expected, what came, what to do; or the way to the sign-in."""
    site: Site = request.app.state.site
    if isinstance(error, NotSignedIn) and site.settings.web_sign_in != "header":
        if request.method == "GET":
            asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{site.url('sign-in')}?{urlencode({'next': asked})}", 303)
        form: dict[str, str] = getattr(request.state, "form", {})
        after = site.drafts.keep(request.url.path, form)
        return draw(request, "sign_in.html", None, status=401, still=True, error=error,
                    next=after or "/", kept=form if after else {})  # fmt: skip
    typed: dict[str, str] = getattr(request.state, "form", {})
    return draw(
        request,
        "error.html",
        getattr(request.state, "caller", None),
        status=status_of(error),
        still=True,
        error=error,
        only_looked=request.method == "GET",
        back=site.drafts.keep(request.url.path, typed),
    )
