"""What each page takes, and what the database says of its slowest statements."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

from ops.bench.web_client import Client, spread, token_of
from ops.bench.web_plant import WebPlant

ROUNDS, ROUNDS_MIN = 25, 3
"""The least however late it is: a page that nobody measured is not quick."""
PAUSE_S = 0.3
SLOWEST = 3
"""Statements that are explained."""

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


def pages(plant: WebPlant, jobs: int, until_s: float) -> dict[str, dict[str, float]]:
    """Milliseconds of each page.

    The first round, in which the process loads what judging takes, is told as `first` and not
    counted in the rest.

    Args:
        plant: The site.
        jobs: In its ledger.
        until_s: When no further page is asked for, of the monotonic clock.
    """
    draw = random.Random(14)
    client = Client(plant.address, authorization=f"Bearer {token_of(plant, 'viewer')}")
    taken: dict[str, list[float]] = {page: [] for page in PAGES}
    busy: dict[str, list[float]] = {page: [] for page in PAGES}
    first: dict[str, float] = {}
    sizes: dict[str, int] = {}
    late = dict.fromkeys(PAGES, 0)
    for number in range(ROUNDS + 1):
        for page, times in taken.items():
            if number > ROUNDS_MIN and time.monotonic() > until_s:
                break
            path = page.format(
                name=f"pilot-{draw.randrange(plant.names)}", job=draw.randrange(jobs)
            )
            late_before, before = client.late, plant.busy.seconds()
            began = time.perf_counter()
            content = client.get(path)
            took_ms = (time.perf_counter() - began) * 1e3
            late[page] += client.late - late_before
            sizes[page] = len(content)
            if number:
                times.append(took_ms)
                busy[page].append((plant.busy.seconds() - before) * 1e3)
            else:
                first[page] = took_ms
        time.sleep(PAUSE_S)
    client.close()
    return {
        page: {
            **spread(times),
            "busy_median": round(median(busy[page]), 1),
            "first": round(first[page], 1),
            "rounds": len(times),
            "late": late[page],
            "kb": round(sizes[page] / 1e3),
        }
        for page, times in taken.items()
        if times
    }


def explained(plant: WebPlant) -> list[dict[str, Any]]:
    """The slowest statements that pages have asked, each with the database's own plan of it."""
    return [
        {
            "ms": round(took_s * 1e3, 1),
            "statement": statement,
            "plan": _plan(plant, statement, given),
        }
        for took_s, statement, given in plant.statements.slowest(SLOWEST)
    ]


def _plan(plant: WebPlant, statement: str, given: Any) -> list[str]:
    how = (
        "EXPLAIN (ANALYZE, BUFFERS)"
        if plant.runtime.database.is_postgresql
        else "EXPLAIN QUERY PLAN"
    )
    with plant.runtime.database.read() as connection:
        rows = connection.exec_driver_sql(f"{how} {statement}", given).fetchall()
    return [str(row[-1]) for row in rows]
