"""What page and API take over a long ledger, what viewers cost it, and how soon a kill holds.

    python -m ops.bench.web --ledger sqlite                          (three minutes at the most)
    python -m ops.bench.web --jobs 1000000 --names 200 --seconds 600

Pages are asked one after another, as a person looks around, each time of another sub-pipeline: what
one look has read does not answer the next. Kills come from the page and by API, beside those of the
command line, while twenty others look. Beside milliseconds on the wall stand those of the
processors, ours and the database server's: where others use the machine, these tell what a quiet
one would take. Whatever is not measured when the time is over is left out, and `rounds` and `kills`
say how much was.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from ops.bench.figures import Target
from ops.bench.servers import LEDGERS
from ops.bench.web_plant import JOBS, NAMES, WebPlant, web_plant
from rollout.control.access import Caller, Role

ROUNDS, KILLS, VIEWERS = 25, 100, 20
SECONDS = 150.0
"""For all but the making of the ledger and its end."""
PAUSE_S, KILL_PAUSE_S = 0.3, 0.2
WATCH_S = 16.0
"""Eight readings that all share, two of what each credential is looked up for."""
PAGES_SHARE = 0.45
"""Of the time; viewers take what they take, and kills what is left."""

PAGES = (
    "/", "/?show=sick", "/?q=pilot-1", "/sub-pipelines/{name}", "/sub-pipelines/{name}/kill",
    "/sub-pipelines/{name}/change", "/kill", "/killed", "/jobs?kind=failed",
    "/jobs?kind=failed&name={name}", "/jobs?kind=fallbacks", "/jobs?kind=fallbacks&name={name}",
    "/jobs?kind=waiting", "/jobs?kind=running&name={name}", "/jobs?q=job-{job}",
    "/jobs?q=customer-{job}&name={name}", "/jobs/job-{job}", "/jobs/retry?name={name}",
    "/drills", "/policy", "/policy?name={name}", "/log", "/log?name={name}",
    "/api/v1/sub-pipelines", "/api/v1/sub-pipelines/{name}", "/api/v1/sub-pipelines/{name}/why",
    "/api/v1/sub-pipelines/{name}/history", "/api/v1/jobs?kind=failed&limit=1000",
    "/api/v1/acts", "/api/v1/policy/check",
)  # fmt: skip
TARGETS = tuple(
    target
    for ledger in LEDGERS
    for target in (
        Target(f"page_ms_median_{ledger}", 200, "ms", f"slowest page's median, {ledger}"),
        Target(f"page_busy_ms_{ledger}", 200, "ms", f"the same, of the processors, {ledger}"),
        Target(f"page_ms_p99_{ledger}", 1000, "ms", f"slowest page's p99, {ledger}"),
        Target(f"viewers_cost_{ledger}", 1.2, "x", f"statements of 20 viewers to one's, {ledger}"),
        Target(f"kill_over_cli_ms_{ledger}", 10, "ms", f"starts blocked, API over CLI, {ledger}"),
        Target(f"kill_page_ms_p99_{ledger}", 1000, "ms", f"kill answered, 20 look, {ledger}"),
    )
)


JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Client:
    """One connection that is kept open, as a browser keeps it."""

    def __init__(self, address: str, **headers: str) -> None:
        where = urlsplit(address)
        self._line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self._headers = headers

    def get(self, path: str) -> bytes:
        """Ask for a page; anything but 200 is a mistake of ours."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Act by API."""
        return self._ask("POST", path, json.dumps(body).encode(), JSON)

    def send(self, path: str) -> bytes:
        """Act by a form of the page that is left empty."""
        return self._ask("POST", path, b"reason=", FORM)

    def _ask(self, method: str, path: str, body: bytes | None, kind: str = "") -> bytes:
        headers = {**self._headers, "content-type": kind} if body else self._headers
        self._line.request(method, path, body, headers)
        answer = self._line.getresponse()
        content = answer.read()
        if answer.status != (303 if kind == FORM else 200):
            raise RuntimeError(f"{path} was answered {answer.status}: {content[:300]!r}")
        return content

    def close(self) -> None:
        """Hang up."""
        self._line.close()


PARTS = ("pages", "viewers", "kills")


def measure(
    jobs: int = JOBS,
    names: int = NAMES,
    seconds: float = SECONDS,
    ledgers: Sequence[str] = LEDGERS,
    parts: Sequence[str] = PARTS,
) -> dict[str, Any]:
    """Measure every ledger; keys of `TARGETS`, and under the ledger's name all there is to know.

    Args:
        jobs: In the ledger.
        names: Sub-pipelines in it.
        seconds: For the measuring of each ledger.
        ledgers: Which ones.
        parts: What.
    """
    found: dict[str, Any] = {"jobs": jobs, "sub_pipelines": names}
    for ledger in ledgers:
        began = time.monotonic()
        with web_plant(ledger, jobs, names, web_sign_in="token") as plant:
            made = time.monotonic()
            of: dict[str, Any] = {"made_s": round(made - began)}
            found[ledger] = of
            if "pages" in parts:
                of["pages"] = pages = _pages(plant, jobs, made + seconds * PAGES_SHARE)
                for key, figure in (
                    ("page_ms_median", "median"),
                    ("page_busy_ms", "busy_median"),
                    ("page_ms_p99", "p99"),
                ):
                    found[f"{key}_{ledger}"] = max(one[figure] for one in pages.values())
            if "viewers" in parts:
                of["viewers"] = _viewers(plant)
                found[f"viewers_cost_{ledger}"] = of["viewers"]["ratio"]
            if "kills" in parts:
                of["kills"] = _kills(plant, made + seconds)
                found[f"kill_over_cli_ms_{ledger}"] = of["kills"]["over_ms"]
                found[f"kill_page_ms_p99_{ledger}"] = of["kills"]["page_answered"]["p99"]
            of["took_s"] = round(time.monotonic() - began)
    return found


def _pages(plant: WebPlant, jobs: int, until_s: float) -> dict[str, dict[str, float]]:
    """Milliseconds of each page; the first round, which loads the statistics, is not counted."""
    draw = random.Random(14)
    client = Client(plant.address, authorization=f"Bearer {_token(plant, 'viewer')}")
    taken: dict[str, list[float]] = {page: [] for page in PAGES}
    busy: dict[str, list[float]] = {page: [] for page in PAGES}
    sizes: dict[str, int] = {}
    for number in range(ROUNDS + 1):
        if number > 2 and time.monotonic() > until_s:  # two rounds are the least for a figure
            break
        for page, times in taken.items():
            path = page.format(
                name=f"pilot-{draw.randrange(plant.names)}", job=draw.randrange(jobs)
            )
            before, began = plant.busy.seconds(), time.perf_counter()
            content = client.get(path)
            if number:
                times.append((time.perf_counter() - began) * 1e3)
                busy[page].append((plant.busy.seconds() - before) * 1e3)
                sizes[page] = len(content)
        time.sleep(PAUSE_S)
    client.close()
    return {
        page: {
            **_spread(times),
            "rounds": len(times),
            "busy_median": round(median(busy[page]), 1),
            "kb": round(sizes[page] / 1e3),
        }
        for page, times in taken.items()
    }


def _spread(times: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(times), 1),
        "p99": round(quantiles(times, n=100, method="inclusive")[98], 1),
    }


def _token(plant: WebPlant, who: str) -> str:
    """A credential of its own for each viewer."""
    return plant.runtime.tokens.create(who, Role.ADMIN, None, None, "bench").secret


# What viewers cost ---------------------------------------------------------------------------


def _viewers(plant: WebPlant) -> dict[str, float]:
    """Statements in a while with one viewer, and with twenty, each with a stream of its own."""
    counts = {}
    for viewers in (1, VIEWERS):
        with _looking(plant, viewers):
            time.sleep(4)  # the first readings
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
        threading.Thread(target=_look, args=(plant, _token(plant, f"viewer {one}"), over))
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


# A kill --------------------------------------------------------------------------------------


def _kills(plant: WebPlant, until_s: float) -> dict[str, Any]:
    """Milliseconds until the store holds the latch, by page, API and command, while others look.

    And until the page has answered: what a thumb waits for.
    """
    runtime, latched_s = plant.runtime, [0.0]
    latch = runtime.control.latch

    def noted(*given: Any, **more: Any) -> Any:
        result = latch(*given, **more)
        latched_s[0] = time.perf_counter()
        return result

    killers = ("killer by page", "killer by api")
    page, api = (
        Client(plant.address, authorization=f"Bearer {_token(plant, who)}") for who in killers
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
        with _looking(plant, VIEWERS):
            time.sleep(2)
            for number in range(KILLS):
                if number > 2 and time.monotonic() > until_s:
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
    found: dict[str, Any] = {way: _spread(times) for way, times in taken.items()}
    over = found["api"]["p99"] - found["command"]["p99"]
    return found | {"kills": len(taken["page"]), "over_ms": round(over, 1)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.web", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--names", type=int, default=NAMES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each ledger")
    parser.add_argument("--ledger", choices=LEDGERS, action="append", help="both when left out")
    parser.add_argument("--part", choices=PARTS, action="append", help="all when left out")
    asked = parser.parse_args()
    ledgers, parts = asked.ledger or LEDGERS, asked.part or PARTS
    print(json.dumps(measure(asked.jobs, asked.names, asked.seconds, ledgers, parts), indent=2))


if __name__ == "__main__":
    main()
