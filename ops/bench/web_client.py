"""A browser's connection to the site, and who asks by it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from ops.bench.web_plant import WebPlant
from rollout.control.access import Role

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Client:
    """One connection that is kept open, as a browser keeps it."""

    def __init__(self, address: str, **headers: str) -> None:
        where = urlsplit(address)
        self._line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        self._headers = headers
        self.late = 0
        """Answers that said that the ledger took too long."""

    def get(self, path: str) -> bytes:
        """Ask for a page; anything but 200 and "the ledger is slow" is a mistake of ours."""
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
        if answer.status == 503 and method == "GET":
            self.late += 1
        elif answer.status != (303 if kind == FORM else 200):
            raise RuntimeError(f"{path} was answered {answer.status}: {content[:300]!r}")
        return content

    def close(self) -> None:
        """Hang up."""
        self._line.close()


def token_of(plant: WebPlant, who: str) -> str:
    """A credential of its own for each viewer."""
    return plant.runtime.tokens.create(who, Role.ADMIN, None, None, "bench").secret


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median and p99; of one time that one."""
    tail = quantiles(times, n=100, method="inclusive")[98] if len(times) > 1 else times[0]
    return {"median": round(median(times), 1), "p99": round(tail, 1)}
