"""Signing in and out: by a token always, by OpenID Connect where it is set up."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rollout.web.asking import SiteOf
from rollout.web.callers import COOKIE, address_of
from rollout.web.forms import Form
from rollout.web.problems import NotSignedIn
from rollout.web.render import draw
from rollout.web.site import Site

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def sign_in_page(
    request: Request, site: SiteOf, next: Annotated[str, Query(max_length=2000)] = "/"
) -> Response:
    """Ask who it is."""
    return draw(request, "sign_in.html", None, still=True, error=None, next=local(next), kept={})


@router.post("/sign-in")
def sign_in(request: Request, site: SiteOf, form: dict[str, str] = Form) -> Response:
    """Begin a session by a token."""
    site.rates.take("sign-in", address_of(request))
    tokens = site.runtime.tokens
    token = tokens.of(form.get("token", "").strip())
    after = local(form.get("next", "/"))
    if token is None:
        error = NotSignedIn("the token is unknown, expired or revoked")
        return draw(
            request, "sign_in.html", None, still=True, status=401, error=error, next=after, kept={}
        )
    secret, _ = tokens.sign_in(token.actor, token.role, token.names, token)
    return with_session(site, request, secret, after)


@router.post("/sign-out")
def sign_out(request: Request, site: SiteOf, form: dict[str, str] = Form) -> Response:
    """End the session."""
    cookie = request.cookies.get(COOKIE)
    if cookie is not None:
        site.runtime.tokens.sign_out(cookie)
        request.app.state.callers.forget(cookie)
    response = RedirectResponse(site.url("sign-in"), 303)
    response.delete_cookie(COOKIE, path=site.base or "/")
    return response


def with_session(site: Site, request: Request, secret: str, after: str) -> Response:
    """Go on to where somebody wanted to go, signed in."""
    response = RedirectResponse(site.base + after, 303)
    forwarded = request.headers.get("x-forwarded-proto", "")
    response.set_cookie(
        COOKIE,
        secret,
        path=site.base or "/",
        secure=request.url.scheme == "https" or forwarded == "https",
        httponly=True,
        samesite="lax",
    )
    return response


def local(given: str) -> str:
    """A path of ours; whatever else was given is the overview."""
    try:
        parts = urlsplit(given)
    except ValueError:  # a bracket that closes nothing
        return "/"
    outside = parts.scheme or parts.netloc or not given.startswith("/")
    if outside or given.startswith(("//", "/\\")) or any(ord(char) < 32 for char in given):
        return "/"
    return given
