"""Streams under a base path, with and without the slash at its end, and until a sign-in ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollout.control.access import Role
from rollout.web import live
from tests.web.conftest import Office, OpenOffice


@pytest.mark.parametrize(
    "path", ["/ops/rollout/events", "/ops/rollout/events/", "/events", "/api/v1/events"]
)
def test_a_stream_begins_under_a_base_path(open_office: OpenOffice, path: str) -> None:
    """Its first event is there at once, whether the proxy cut the base path off or not."""
    office = open_office(web_base_path="/ops/rollout")
    office.declare()
    sent: list[dict[str, Any]] = []

    def heard(message: dict[str, Any]) -> bool:
        sent.append(message)
        return bool(message.get("body"))

    listen(office, path, heard)
    assert sent[0]["status"] == 200
    text = b"".join(one.get("body", b"") for one in sent).decode()
    assert "event: state" in text
    assert '"sub_pipelines"' in text


@pytest.mark.parametrize("path", ["/events", "/api/v1/events", "/ofrep/v1/events"])
@pytest.mark.parametrize("ledger", ["there", "away"])
def test_a_stream_ends_when_its_credential_does(
    open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch, path: str, ledger: str
) -> None:
    """Whoever was put out hears nothing more; a ledger that is away puts nobody out."""
    monkeypatch.setattr(live, "LOOK_S", 0.01)
    monkeypatch.setattr(live, "ASKS_AGAIN_S", 0.01)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)
    office = open_office(web_sign_in="token")
    office.declare()
    made = office.world.runtime.tokens.create("ana", Role.VIEWER, None, timedelta(days=1), "ana")
    bodies: list[bytes] = []

    def heard(message: dict[str, Any]) -> bool:
        bodies.append(message.get("body", b""))
        if len(bodies) == 2:  # the first event is there
            if ledger == "away":
                office.world.line.cut("token_of")
            office.world.runtime.tokens.revoke(made.token.token_id)
            office.world.clock.advance(10)
        return ledger == "away" and len(bodies) == 9

    listen(office, path, heard, authorization=f"Bearer {made.secret}")
    events = sum(body != b"" for body in bodies)
    assert events > 6 if ledger == "away" else 1 <= events < 4


def listen(office: Office, path: str, heard: Callable[[dict[str, Any]], bool], **more: str) -> None:
    """Ask for a stream until it ends by itself, or what was heard is enough."""

    async def look() -> None:
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if heard(message):
                over.set()

        headers = [(b"host", b"127.0.0.1")]
        headers += [(name.encode(), value.encode()) for name, value in more.items()]
        scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": headers, "client": ("127.0.0.1", 5), "scheme": "http",
            "server": ("127.0.0.1", 80), "http_version": "1.1", "asgi": {"version": "3.0"},
        }  # fmt: skip
        state = office.app._app.state
        state.stopping = asyncio.Event()
        state.stream_reads = asyncio.Semaphore(1)
        await asyncio.wait_for(office.app(scope, receive, send), 20)

    asyncio.run(look())
