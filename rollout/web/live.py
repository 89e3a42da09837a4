"""Server-sent events: told when something changed, from the reading that all viewers share.

A stream says only that there is something new; the page then asks for itself again. So a viewer
costs the ledger nothing, and a page without streams or scripts loses nothing but speed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from rollout.control.access import Caller
from rollout.errors import LedgerUnreachable, RolloutError
from rollout.web.asking import CallerOf, SiteOf
from rollout.web.callers import Callers
from rollout.web.problems import TooMany
from rollout.web.site import Site

router = APIRouter(tags=["live"])

LOOK_S = 1.0
HEARTBEAT_S = 5.0
READS_MAX = 5
"""Streams that look at once: a slow ledger takes no more threads from who acts."""
ASKS_AGAIN_S = 30.0
"""Who listens is looked up as often: a session that was ended hears for so much longer."""
STREAMS_MAX = 12
"""Streams of one person: some tabs, and a phone."""

_open: Counter[str] = Counter()


@router.get("/api/v1/events", response_class=StreamingResponse)
async def events(request: Request, site: SiteOf, caller: CallerOf) -> StreamingResponse:
    """A `state` event at each change, and a heartbeat; Last-Event-ID goes on where one was cut."""
    return _stream(request, _states(request, site, caller), caller)


@router.get("/events", include_in_schema=False)
async def page_events(request: Request, site: SiteOf, caller: CallerOf) -> StreamingResponse:
    """The same for the page, whose browser sends its session."""
    return _stream(request, _states(request, site, caller), caller)


@router.get("/ofrep/v1/events", response_class=StreamingResponse)
async def flag_events(request: Request, site: SiteOf, caller: CallerOf) -> StreamingResponse:
    """`refetchEvaluation` at each change of a control state."""
    return _stream(request, _flags(request, site, caller), caller)


def _stream(request: Request, lines: AsyncIterator[str], caller: Caller) -> StreamingResponse:
    """Count the streams of one person. Raises TooMany."""
    if _open[caller.actor] >= STREAMS_MAX:
        raise TooMany("open streams", 5)

    async def counted() -> AsyncIterator[str]:
        _open[caller.actor] += 1
        try:
            async for line in lines:
                yield line
        finally:
            _open[caller.actor] -= 1

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)


async def _states(request: Request, site: Site, caller: Caller) -> AsyncIterator[str]:
    async for etag, values in _changes(request, site, caller):
        yield f"id: {etag}\nevent: state\ndata: {json.dumps(values)}\n\n"


async def _flags(request: Request, site: Site, caller: Caller) -> AsyncIterator[str]:
    async for etag, _ in _changes(request, site, caller):
        values = {"type": "refetchEvaluation", "etag": f'"{etag}"'}
        yield f"id: {etag}\ndata: {json.dumps(values)}\n\n"


async def _changes(
    request: Request, site: Site, caller: Caller
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A digest and a summary at each change; heartbeats keep proxies from cutting the line."""
    last = request.headers.get("last-event-id", "")
    silent_s = heard_s = 0.0
    stopping: asyncio.Event = request.app.state.stopping
    while not stopping.is_set() and not await request.is_disconnected():
        if heard_s >= ASKS_AGAIN_S:
            heard_s = 0.0
            if not await run_in_threadpool(_still_in, request):
                return
        async with request.app.state.stream_reads:
            values = await run_in_threadpool(summary, site, caller)
        digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
        now = site.runtime.clock.now().isoformat()
        if digest != last or silent_s >= HEARTBEAT_S:
            last, silent_s = digest, 0.0
            yield digest, {"digest": digest, "now": now, **values}
        await asyncio.sleep(LOOK_S)
        silent_s += LOOK_S
        heard_s += LOOK_S


def _still_in(request: Request) -> bool:
    """Whether the credential that the stream began with opens anything yet."""
    callers: Callers = request.app.state.callers
    try:
        callers.of(request)
    except LedgerUnreachable:  # nobody was put out
        return True
    except RolloutError:
        return False
    return True


def summary(site: Site, caller: Caller) -> dict[str, Any]:
    """What a viewer can see change: revisions, counts, what is wrong, whether somebody leads."""
    try:
        taken = site.board(caller)
    except RolloutError as error:
        return {"late": error.problem, "leads": None, "sub_pipelines": {}}
    board = taken.value
    return {
        "late": taken.late,
        "leads": None if board.leader is None else board.leader.alive,
        "sub_pipelines": {
            one.state.name: [
                one.state.revision,
                board.need(one).name.lower(),
                sum(count.jobs for count in one.open_counts),
                sum(tally.jobs for tally in one.tallies),
            ]
            for one in board.statuses
        },
    }
