"""Signing in by OpenID Connect: code flow with PKCE, state bound to the browser, one-time nonce.

Only the sign-in itself asks the issuer. Who is signed in, a token and the command line do not need
it: a stop never waits for an identity provider.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Any, cast

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from fastapi import APIRouter, Query
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rollout.control.access import Role
from rollout.errors import RolloutError
from rollout.web.asking import SiteOf
from rollout.web.callers import address_of, peer_of, role_of
from rollout.web.problems import BadRequest, Foreign
from rollout.web.signing import local, with_session
from rollout.web.site import Site

router = APIRouter(include_in_schema=False)

COOKIE = "rollout_sign_in"
WAITS_S = 600.0
WAITING_MAX = 1000
TIMEOUT_S = 5.0
LEEWAY_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]


class IssuerUnreachable(RolloutError):
    """The issuer did not answer, or not as one does; nobody was signed in."""

    def __init__(self, issuer: str, cause: object) -> None:
        super().__init__(
            f"the issuer {issuer} did not sign anybody in: {cause}",
            "sign in by a token meanwhile, or use `rollout kill`, which needs neither",
        )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody who was sent to the issuer and is to come back."""

    nonce: str
    verifier: str
    after: str
    began_s: float


class _Waitings:
    """Who is at the issuer now, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_state: OrderedDict[str, _Waiting] = OrderedDict()

    def add(self, state: str, waiting: _Waiting) -> None:
        """Remember somebody; the oldest is forgotten when there are too many."""
        with self._lock:
            self._by_state[state] = waiting
            while len(self._by_state) > WAITING_MAX:
                self._by_state.popitem(last=False)

    def take(self, state: str, now_s: float) -> _Waiting | None:
        """Who comes back with this state, once."""
        with self._lock:
            waiting = self._by_state.pop(state, None)
        return waiting if waiting is not None and now_s - waiting.began_s < WAITS_S else None


_waitings = _Waitings()


@router.get("/sign-in/oidc")
def go(
    request: Request, site: SiteOf, next: Annotated[str, Query(max_length=2000)] = "/"
) -> Response:
    """Send a person to the issuer."""
    site.rates.take("sign-in", address_of(request))
    _must_be_set_up(site)
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    try:
        found = _discover(site)
        with _client(site, request) as client:
            where, state = client.create_authorization_url(
                found["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
    except (httpx2.HTTPError, AuthlibBaseError, ValueError, KeyError, TypeError) as error:
        raise IssuerUnreachable(str(site.settings.web_oidc_issuer), error) from error
    now_s = site.runtime.clock.monotonic()
    _waitings.add(state, _Waiting(nonce, verifier, local(next), now_s))
    response = RedirectResponse(where, 303)
    response.set_cookie(
        COOKIE, state, max_age=int(WAITS_S), path=site.base or "/", httponly=True, samesite="lax"
    )
    return response


@router.get("/sign-in/oidc/back")
def back(
    request: Request,
    site: SiteOf,
    state: Annotated[str, Query(max_length=400)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """Take a person back from the issuer."""
    site.rates.take("sign-in", address_of(request))
    _must_be_set_up(site)
    waiting = _waitings.take(state, site.runtime.clock.monotonic())
    if waiting is None or request.cookies.get(COOKIE) != state:
        raise Foreign("this browser is not the one that began to sign in", "sign in again")
    if error or not code:
        raise IssuerUnreachable(str(site.settings.web_oidc_issuer), error or "it sent no code")
    claims = _claims(site, request, code, waiting)
    person, role = _person(site, claims)
    secret, _ = site.runtime.tokens.sign_in(person, role, None)
    response = with_session(site, request, secret, waiting.after)
    response.delete_cookie(COOKIE, path=site.base or "/")
    return response


def _claims(site: Site, request: Request, code: str, waiting: _Waiting) -> dict[str, Any]:
    """Change the code for an id token, and look whether it is one for us."""
    settings = site.settings
    try:
        found = _discover(site)
        with _client(site, request) as client:
            token = client.fetch_token(
                found["token_endpoint"], code=code, code_verifier=waiting.verifier
            )
        keys = KeySet.import_key_set(cast(Any, _get(found["jwks_uri"])))
        decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": found["issuer"]},
            aud={"essential": True, "value": str(settings.web_oidc_client_id)},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": waiting.nonce},
        )
        registry.validate(decoded.claims)
    except (
        httpx2.HTTPError, AuthlibBaseError, JoseError, ValueError, KeyError, TypeError,
    ) as error:  # fmt: skip
        raise IssuerUnreachable(str(settings.web_oidc_issuer), error) from error
    return dict(decoded.claims)


def _person(site: Site, claims: dict[str, Any]) -> tuple[str, Role]:
    """Name and role; raises Foreign for somebody who has none here."""
    # Some issuers write it as text. One that says nothing has mail addresses of its own.
    verified = str(claims.get("email_verified", True)).lower() == "true"
    email = claims.get("email") if verified else None
    person = str(email or claims["sub"])[:200]
    groups = claims.get("groups") or []
    named = [str(one) for one in groups] if isinstance(groups, list) else []
    role = role_of(dict(site.settings.web_roles), person, named)
    if role is None:
        raise Foreign(
            f"{person!r} has no role here", "name the person or a group in ROLLOUT_WEB_ROLES"
        )
    return person, role


def _discover(site: Site) -> dict[str, Any]:
    """What the issuer says of itself; the name it gives has to be its own."""
    issuer = str(site.settings.web_oidc_issuer).rstrip("/")
    found = _get(f"{issuer}/.well-known/openid-configuration")
    if str(found["issuer"]).rstrip("/") != issuer:
        raise ValueError(f"it calls itself {found['issuer']!r}")
    return found


def _get(url: str) -> dict[str, Any]:
    answer = httpx2.get(url, timeout=TIMEOUT_S)
    answer.raise_for_status()
    values: dict[str, Any] = answer.json()
    return values


def _client(site: Site, request: Request) -> Any:
    settings = site.settings
    forwarded = request.headers.get("x-forwarded-proto")
    trusted = forwarded if site.from_proxy(peer_of(request)) else None
    scheme = trusted or request.url.scheme
    here = f"{scheme}://{request.headers.get('host', '')}{site.base}/sign-in/oidc/back"
    return OAuth2Client(
        client_id=settings.web_oidc_client_id,
        client_secret=settings.web_oidc_client_secret,
        scope="openid email profile groups",
        redirect_uri=here,
        code_challenge_method="S256",
        timeout=TIMEOUT_S,
    )


def _must_be_set_up(site: Site) -> None:
    if site.settings.web_sign_in != "oidc":
        raise BadRequest("OpenID Connect is not set up here", "sign in by a token")
