"""Who asks: a token, a session, a trusted proxy's header, or whoever sits at this machine.

A stop must not wait for an identity provider, nor for a ledger that is away: a credential that was
in force a quarter of an hour ago still opens the safer actions then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from starlette.requests import Request

from rollout.control.access import Caller, Origin, Role
from rollout.control.tokens import digest_of
from rollout.errors import LedgerUnreachable
from rollout.web.problems import Foreign, NotSignedIn
from rollout.web.site import Site

COOKIE = "rollout_session"
_REMEMBERED = 1000
_REMEMBERED_S = 900.0
_LOOKS_S = 10.0
"""Who only looks is looked up as often; a token that is revoked looks for so much longer."""


class Callers:
    """Finds out who asks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._last: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def of(self, request: Request) -> Caller:
        """Who asks.

        Raises:
            NotSignedIn: Nobody, or the credential opens nothing.
            Foreign: The proxy names somebody who has no role.
            TooMany: Too many wrong tokens from this address.
            LedgerUnreachable: The ledger is away, and this credential was not seen lately.
        """
        origin = Origin(
            "api" if is_api(request) else "page",
            request.state.request_id,
            address_of(request),
        )
        given = request.headers.get("authorization")
        looks = only_looks(request)
        if given is not None:
            return self._by_token(given, origin, looks=looks, kills=kills(request))
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            caller = self._remembered(
                cookie, lambda: self._by_session(cookie, origin), origin, looks=looks
            )
            if caller is not None:
                return caller
        settings = self._site.settings
        if settings.web_sign_in == "header":
            return self._by_header(request, origin)
        if settings.web_sign_in == "none":
            return self._caller(self._site.user, Role.ADMIN, None, origin)
        if cookie is not None:
            raise NotSignedIn("the session has ended")
        raise NotSignedIn

    def forget(self, secret: str) -> None:
        """Look this credential up at its next request: it was ended."""
        self._last.pop(digest_of(secret), None)

    def _by_token(self, given: str, origin: Origin, *, looks: bool, kills: bool) -> Caller:
        scheme, _, secret = given.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise NotSignedIn("the Authorization header must be `Bearer TOKEN`, got another")
        secret = secret.strip()
        # Many may share an address: whoever guesses there must keep nobody else out, nor a kill.
        if not kills and digest_of(secret) not in self._last:
            self._site.rates.check("credential", origin.address)

        def look_up() -> Caller | None:
            token = self._site.runtime.tokens.of(secret)
            if token is None:
                return None
            return self._caller(token.actor, token.role, token.names, origin)

        caller = self._remembered(secret, look_up, origin, looks=looks)
        if caller is None:
            self._site.rates.take("credential", origin.address)
            raise NotSignedIn("the token is unknown, expired or revoked")
        return caller

    def _by_session(self, secret: str, origin: Origin) -> Caller | None:
        session = self._site.runtime.tokens.session(secret)
        if session is None:
            return None
        return self._caller(session.actor, session.role, session.names, origin)

    def _by_header(self, request: Request, origin: Origin) -> Caller:
        settings = self._site.settings
        peer = peer_of(request)
        if not self._site.from_proxy(peer):
            raise NotSignedIn(f"people come through the proxy, and {peer} is none of web_proxies")
        person = _only(request, settings.web_user_header)
        if not person:
            raise NotSignedIn(f"the proxy sent no {settings.web_user_header}")
        groups = _only(request, settings.web_groups_header).split(",")
        role = role_of(settings.web_roles, person, [one.strip() for one in groups])
        if role is None:
            raise Foreign(
                f"{person!r} has no role here", "name the person or a group in ROLLOUT_WEB_ROLES"
            )
        return self._caller(person[:200], role, None, origin)

    def _caller(
        self, actor: str, role: Role, names: frozenset[str] | None, origin: Origin
    ) -> Caller:
        return Caller(actor, role, names, origin, self._site.settings.web_read_only)

    def _remembered(
        self, secret: str, look_up: Callable[[], Caller | None], origin: Origin, *, looks: bool
    ) -> Caller | None:
        """Look a credential up; who looks, and where the ledger is away, by what was so lately."""
        digest = digest_of(secret)
        now_s = self._site.runtime.clock.monotonic()
        known = self._last.get(digest)
        if looks and known is not None and now_s - known[1] < _LOOKS_S:
            return replace(known[0], origin=origin)
        try:
            caller = look_up()
        except LedgerUnreachable:
            if known is None or now_s - known[1] > _REMEMBERED_S:
                raise
            before = known[0]
            role = Role.SAFER_ONLY if before.role.covers(Role.SAFER_ONLY) else Role.VIEWER
            return self._caller(before.actor, role, before.names, origin)
        with self._lock:
            self._last.pop(digest, None)
            if caller is not None:
                self._last[digest] = (caller, now_s)
            while len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return caller


def role_of(roles: Mapping[str, str], person: str, groups: Sequence[str]) -> Role | None:
    """The role of a person: their own, else the largest of their groups', else anybody's."""
    if person in roles:
        return Role(roles[person])
    order = list(Role)
    mine = [Role(roles[one]) for one in groups if one and one in roles]
    if mine:
        return max(mine, key=order.index)
    return Role(roles["*"]) if "*" in roles else None


def is_api(request: Request) -> bool:
    """Whether a program asks, and not a person's browser."""
    return request.url.path.startswith(("/api/", "/ofrep/"))


def only_looks(request: Request) -> bool:
    """Whether it changes nothing: OFREP asks by POST."""
    return request.method in ("GET", "HEAD") or request.url.path.startswith("/ofrep/")


def kills(request: Request) -> bool:
    """Whether it pulls the switch."""
    return request.method == "POST" and request.url.path.endswith("/kill")


def peer_of(request: Request) -> str:
    """The address at the other end of the connection: a proxy's, where one stands before us."""
    return "" if request.client is None else request.client.host


def address_of(request: Request) -> str:
    """The client's address: the peer's, or what a trusted proxy says who asked it.

    Each proxy adds whom it saw to the end of X-Forwarded-For; what stands before the first one that
    is not trusted, anybody may have written.
    """
    site: Site = request.app.state.site
    address = peer_of(request)
    said = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while said and site.from_proxy(address):
        before = said.pop().strip()
        try:
            address = str(ip_address(before))
        except ValueError:
            break
    return address


def _only(request: Request, header: str) -> str:
    """A proxy's header. One that comes twice was sent by the client, too, and names nobody."""
    given = request.headers.getlist(header)
    if len(given) > 1:
        raise NotSignedIn(f"{header} came {len(given)} times: the proxy must replace the client's")
    return given[0].strip() if given else ""
