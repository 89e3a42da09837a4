"""A client that goes away leaves no statement running in the database, and no thread waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, create_engine, text

from ops.bench.web_plant import served
from rollout import Runtime, build
from rollout.web import site as site_module
from rollout.web.shared import Shared
from tests.conftest import Postgresql
from tests.waiting import wait_until

PATIENCE_S = 0.4
ASKED = (
    "/", "/jobs?kind=failed", "/jobs?kind=waiting", "/sub-pipelines/invoices", "/policy",
    "/api/v1/jobs?kind=fallbacks",
)  # fmt: skip
RUNNING = text(
    "SELECT query FROM pg_stat_activity WHERE datname = current_database() "
    "AND state = 'active' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def runtime(
    postgresql: Postgresql, no_variables: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """Services on a real PostgreSQL, whose readings are given up soon."""
    for name in ("BOARD_S", "JUDGE_S", "READ_S"):
        monkeypatch.setattr(site_module, name, PATIENCE_S)
    monkeypatch.setattr(site_module, "LIST_S", (PATIENCE_S,) * 3)
    url = postgresql.url(postgresql.shared)
    runtime = build(ledger_url=url, control_url="memory://", broker_url="memory://")
    yield runtime
    runtime.close()
    postgresql.empty()


@contextmanager
def _held(postgresql: Postgresql) -> Iterator[Connection]:
    """Somebody's lock that lets nobody read a job; gives another connection, to watch by."""
    engine = create_engine(postgresql.url(postgresql.shared), isolation_level="AUTOCOMMIT")
    holds = create_engine(postgresql.url(postgresql.shared))
    try:
        with engine.connect() as watch, holds.begin() as connection:
            connection.execute(text("LOCK TABLE job IN ACCESS EXCLUSIVE MODE"))
            yield watch
    finally:
        engine.dispose()
        holds.dispose()


def test_nothing_goes_on_for_who_has_gone(
    postgresql: Postgresql, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is asked for and not waited for; the database and the readers are soon at rest."""
    readings: list[Shared] = []
    begun = Shared.__init__

    def noted(self: Shared, *given: Any, **more: Any) -> None:
        begun(self, *given, **more)
        readings.append(self)

    monkeypatch.setattr(Shared, "__init__", noted)
    with served(runtime) as address, _held(postgresql) as watch:
        where = urlsplit(address)
        lines = [socket.create_connection((where.hostname, where.port or 0)) for _ in ASKED]
        try:
            for line, path in zip(lines, ASKED, strict=True):
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            wait_until(lambda: bool(watch.execute(RUNNING).all()), "the database is asked")
        finally:
            for line in lines:
                line.close()
        (shared,) = readings
        wait_until(lambda: not shared.under_way, "no reading is waited for")
        wait_until(lambda: not watch.execute(RUNNING).all(), "no statement runs")
