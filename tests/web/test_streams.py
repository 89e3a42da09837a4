"""Streams under a base path, with and without the slash at its end, and under a sign-in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.conftest import OpenOffice


@pytest.mark.parametrize(
    "path", ["/ops/rollout/events", "/ops/rollout/events/", "/events", "/api/v1/events"]
)
def test_a_stream_begins_under_a_base_path(open_office: OpenOffice, path: str) -> None:
    """Its first event is there at once, whether the proxy cut the base path off or not."""
    office = open_office(web_base_path="/ops/rollout")
    office.declare()
    sent: list[dict[str, Any]] = []

    async def look() -> None:
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message.get("body"):
                over.set()

        headers = [(b"host", b"127.0.0.1")]
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
    assert sent[0]["status"] == 200
    text = b"".join(one.get("body", b"") for one in sent).decode()
    assert "event: state" in text
    assert '"sub_pipelines"' in text
