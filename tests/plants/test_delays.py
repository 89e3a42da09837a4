"""RabbitMQ with quorum queues delays messages itself: such a job is routed all the same."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery_conformance.examples import Plant
from tests.conftest import start_valkey
from tests.crash.children import Children
from tests.crash.servers import wait_for_port
from tests.plants import debian
from tests.ports import free_port

pytestmark = [pytest.mark.plants, pytest.mark.timeout(170)]

APP = """
import os
from celery import Celery
from rollout import SubPipeline

app = Celery("delays")
app.config_from_object({
    "broker_url": os.environ["BROKER"], "result_backend": os.environ["BACKEND"],
    "broker_transport_options": {"confirm_publish": True},
    "task_default_queue_type": "quorum", "task_default_exchange_type": "topic",
    "task_create_missing_queue_type": "quorum",
    "task_create_missing_queue_exchange_type": "topic",
})
bill = SubPipeline(
    "bills", app=app, effects="none", task_name="delays.bill", bind=True, holdback_bp=0
)


def body(self, n):
    if n == 1 and self.request.retries == 0:
        raise self.retry(countdown=1)
    return [self.request.delivery_info["routing_key"].count("."), self.request.retries]


def fails(self, n):
    if n == 5:
        raise ValueError("broken")
    return body(self, n)


bill.legacy(body)
bill.concurrent(fails)
other = app.task(body, name="delays.other", bind=True, shared=False)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that RabbitMQ's own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="delays-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def plant(folder: Path) -> Iterator[Plant]:
    """RabbitMQ as the broker, Valkey for starts and results, one worker."""
    debian.install()
    (folder / "delays.py").write_text(APP)
    valkey, children, port, mapper = start_valkey(), Children(folder), free_port(), free_port()
    plant = Plant(
        folder,
        f"redis://127.0.0.1:{valkey.port}",
        "delays",
        BROKER=f"amqp://guest:guest@127.0.0.1:{port}//",
    )
    try:
        for name, one in (
            ("mapper", debian.erlang_mapper(folder / "rabbitmq", mapper)),
            ("rabbitmq", debian.rabbitmq(folder / "rabbitmq", port, free_port(), mapper)),
        ):
            children.start(name, one.words, one.env, user=one.user, cwd=one.folder)
        wait_for_port(port, 90)
        plant.start("bills")
        yield plant
    finally:
        plant.stop()
        children.end()
        valkey.stop()


def test_a_delayed_job_is_routed_and_runs_where_it_was_routed(plant: Plant) -> None:
    """Delayed by RabbitMQ as without rollout; no job counts as opted out, through retries too."""
    said = plant.run("""
            import json, time
            from delays import bill, other
            since = time.monotonic()
            sent = [
                other.apply_async((0,), countdown=1),
                bill.apply_async((0,), countdown=1),
                bill.apply_async((1,), countdown=1),
                bill.apply_async((0,)),
                bill.apply_async((5,), countdown=1),
            ]
            got = [one.get(timeout=30) for one in sent]
            rows = [bill.ledger.job("bills", one.id) for one in sent[1:]]
            print(json.dumps([
                got, time.monotonic() - since >= 2,
                [[str(one.path), str(one.state), str(one.reason)] for one in rows],
            ]))
    """)
    bits = 28
    got, waited, rows = said
    assert got == [[bits, 0], [bits + 1, 0], [bits + 1, 1], [1, 0], [1, 0]]
    assert waited
    assert rows == [
        ["concurrent", "committed", "in_scope"],
        ["concurrent", "committed", "in_scope"],
        ["concurrent", "committed", "in_scope"],
        ["legacy", "committed", "in_scope"],  # it fell back
    ]
