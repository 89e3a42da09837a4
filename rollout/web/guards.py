"""What every request passes before anything is read: address, host, origin, size, headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from rollout.errors import RolloutError
from rollout.web import alive
from rollout.web.problems import BadRequest, Foreign, TooLarge, problem
from rollout.web.site import LOOPBACK, Site

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX = 256_000
LOOKS_MAX = 30
"""Requests answered at once, but for kills: of the forty threads some stay free for these."""
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guards:
    """Wraps the application; what does not pass is answered here."""

    def __init__(self, app: App, site: Site) -> None:
        self._app = app
        self._site = site
        self._looks = asyncio.Semaphore(LOOKS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        scope = self._mounted(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out["x-request-id"] = request_id
                if not scope["path"].startswith("/static/"):
                    out.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._look(scope, headers)
            receive = await _bounded(receive, headers)
        except RolloutError as error:
            response: Response = problem(error, request_id)
            await response(scope, receive, answer)
            return
        if waits_for_nobody(scope["path"]):
            await self._app(scope, receive, answer)
            return
        async with self._looks:
            await self._app(scope, receive, answer)

    def _mounted(self, scope: Scope) -> Scope:
        """The request as if we stood at the root, whether the proxy cut the base path off or not.

        An address with a slash at its end is the same as without.
        """
        path: str = scope["path"]
        base = self._site.base
        if base and (path == base or path.startswith(base + "/")):
            path = path[len(base) :] or "/"
        if len(path) > 1:
            path = path.rstrip("/") or "/"
        return {**scope, "path": path, "raw_path": None, "root_path": ""}

    def _look(self, scope: Scope, headers: Headers) -> None:
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
            raise BadRequest("an address holds no NUL, got one", "correct the address")
        if scope["path"] != alive.PATH:  # a probe asks for a container by its address
            self._look_at_host(headers)
        if scope["method"] in SAFE or headers.get("authorization"):
            return
        self._look_at_origin(headers)

    def _look_at_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: a page elsewhere may point its own name at this machine.

        Where everybody signs in, a wrong name opens nothing, so it is only looked at when the
        settings name the right ones.
        """
        settings = self._site.settings
        if settings.web_sign_in != "none" and not settings.web_hosts:
            return
        name = _host_of("//" + headers.get("host", ""))
        known = {*LOOPBACK, settings.web_host, *settings.web_hosts}
        if name not in known:
            raise Foreign(
                f"this page is asked for as {', '.join(sorted(known))}, got {name[:100]!r}",
                "put the name into ROLLOUT_WEB_HOSTS when it is right",
            )

    def _look_at_origin(self, headers: Headers) -> None:
        """Refuse what another site makes a browser send; programs send neither header."""
        where = "this request changes something, and another site made the browser send it"
        what = "open the page itself and act there"
        fetch = headers.get("sec-fetch-site")
        if fetch is not None and fetch not in ("same-origin", "none"):
            raise Foreign(where, what)
        origin = headers.get("origin")
        if origin is None or fetch == "same-origin":
            return
        host, known = headers.get("host", ""), self._site.settings.web_hosts
        # Where the proxy hands our own name on, another port of it is another site.
        named = _host_of(origin) in known and _host_of("//" + host) not in known
        if origin == "null" or not (named or _netloc_of(origin) in (host, *known)):
            raise Foreign(where, f"{what}; if this was the page, put the name and port that "
                          "browsers ask for into ROLLOUT_WEB_HOSTS")  # fmt: skip


def waits_for_nobody(path: str) -> bool:
    """Whether a request is answered however many others wait: kills, streams and probes."""
    return path.endswith(("/kill", "/killed", "/events", alive.PATH))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _netloc_of(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


async def _bounded(receive: Receive, headers: Headers) -> Receive:
    """Read the body, and give it back as often as it is asked for.

    Raises:
        TooLarge: It is larger than any request needs.
        BadRequest: The client went away while it sent it.
    """
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        return receive
    if length is not None and (not length.isdigit() or int(length) > BODY_MAX):
        raise TooLarge(BODY_MAX)
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client went away while it sent its request", "send it again")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_MAX:
            raise TooLarge(BODY_MAX)
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
