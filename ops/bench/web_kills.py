"""What viewers cost the ledger, and how soon a kill holds while they look."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ops.bench.web_client import Client, spread, token_of
from ops.bench.web_plant import WebPlant
from rollout.control.access import Caller, Role

KILLS, VIEWERS = 100, 20
KILL_PAUSE_S = 0.1
FIRST_READINGS_S, WATCH_S = 2.0, 20.0
"""Ten readings that all share, two of what each credential is looked up for."""


def viewers_cost(plant: WebPlant) -> dict[str, float]:
    """Statements in a while with one viewer, and with twenty, each with a stream of its own."""
    counts = {}
    for viewers in (1, VIEWERS):
        with _looking(plant, viewers):
            time.sleep(FIRST_READINGS_S)
            before, busy_s = plant.statements.count, plant.statements.busy_s
            time.sleep(WATCH_S)
            counts[viewers] = (
                plant.statements.count - before, plant.statements.busy_s - busy_s,
            )  # fmt: skip
    one, many = counts[1], counts[VIEWERS]
    return {
        "statements_one": one[0],
        "statements_twenty": many[0],
        "ratio": round(many[0] / one[0], 3),
        "busy_s_one": round(one[1], 2),
        "busy_s_twenty": round(many[1], 2),
    }


@contextmanager
def _looking(plant: WebPlant, viewers: int) -> Iterator[None]:
    over = threading.Event()
    threads = [
        threading.Thread(target=_look, args=(plant, token_of(plant, f"viewer {one}"), over))
        for one in range(viewers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def _look(plant: WebPlant, token: str, over: threading.Event) -> None:
    """As the page does: a stream, and the page again at each of its events and every ten seconds.

    Half look at the overview, half at one sub-pipeline.
    """
    own = {"authorization": f"Bearer {token}"}
    pages, where = Client(plant.address, **own), urlsplit(plant.address)
    stream = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    stream.request("GET", "/events", headers=own)
    events = stream.getresponse()
    while not over.is_set():
        for path in ("/", "/sub-pipelines/pilot-7"):
            pages.get(path)
        while not over.is_set() and not events.readline().startswith(b"event: state"):
            pass
    stream.close()
    pages.close()


def kills(plant: WebPlant, until_s: float) -> dict[str, Any]:
    """Milliseconds until the store holds the latch, by page, API and command; and of the answer.

    First while nobody looks, then while twenty look who load two pages at each change. These
    are threads of the process that serves, as browsers never are, and take turns with it.

    Args:
        plant: The site.
        until_s: When no further kill is tried, of the monotonic clock.
    """
    alone_s = time.monotonic() + (until_s - time.monotonic()) / 2
    alone = _killed(plant, alone_s)
    with _looking(plant, VIEWERS):
        time.sleep(FIRST_READINGS_S)
        return alone | {"while_twenty_look": _killed(plant, until_s)}


def _killed(plant: WebPlant, until_s: float) -> dict[str, Any]:
    runtime, latched_s = plant.runtime, [0.0]
    latch = runtime.control.latch

    def noted(*given: Any, **more: Any) -> Any:
        result = latch(*given, **more)
        latched_s[0] = time.perf_counter()
        return result

    killers = ("killer by page", "killer by api")
    page, api = (
        Client(plant.address, authorization=f"Bearer {token_of(plant, who)}") for who in killers
    )
    caller = Caller("bench", Role.ADMIN)
    ways: dict[str, Callable[[str], object]] = {
        "page": lambda name: page.send(f"/sub-pipelines/{name}/kill"),
        "api": lambda name: api.post(f"/api/v1/sub-pipelines/{name}/kill", {"reason": "bench"}),
        "command": lambda name: runtime.door.kill(caller, name, "bench"),
    }
    taken: dict[str, list[float]] = {way: [] for way in (*ways, "page_answered")}
    runtime.control.latch = noted  # type: ignore[method-assign]
    try:
        for number in range(KILLS):
            if number > 3 and time.monotonic() > until_s:
                break
            for way, act in ways.items():
                began = time.perf_counter()
                act(f"pilot-{number % plant.names}")
                taken[way].append((latched_s[0] - began) * 1e3)
                if way == "page":
                    taken["page_answered"].append((time.perf_counter() - began) * 1e3)
            time.sleep(KILL_PAUSE_S)
    finally:
        runtime.control.latch = latch  # type: ignore[method-assign]
        page.close()
        api.close()
    # The first of each way loads what acting takes, and is not counted.
    found: dict[str, Any] = {way: spread(times[1:]) for way, times in taken.items()}
    over = found["api"]["p99"] - found["command"]["p99"]
    middle = found["api"]["median"] - found["command"]["median"]
    return found | {
        "kills": len(taken["page"]) - 1, "over_ms": round(over, 1),
        "over_median_ms": round(middle, 1),
    }  # fmt: skip
