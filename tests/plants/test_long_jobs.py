"""Jobs that run for longer than RabbitMQ waits for their acknowledgement."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery_conformance.examples import Plant
from tests.conftest import start_valkey
from tests.plants.conftest import CONSUMER_TIMEOUT_S
from tests.plants.rabbit import Rabbit
from tests.waiting import wait_until

pytestmark = [pytest.mark.plants, pytest.mark.timeout(170)]

APP = """
import os
import time
from celery import Celery
from rollout import SubPipeline

app = Celery("long")
app.config_from_object({
    "broker_url": os.environ["BROKER"], "result_backend": os.environ["BACKEND"],
    "broker_channel_error_retry": True, "worker_prefetch_multiplier": 1,
})
bill = SubPipeline(
    "bills", app=app, effects="none", task_name="long.bill", time_limit=120, holdback_bp=0
)


def body(name, seconds):
    with open("runs", "a") as runs:
        print(name, file=runs)
    time.sleep(seconds)
    return name


bill.legacy(body)
bill.concurrent(body)
bare = app.task(body, name="long.bare", acks_late=True, shared=False)
"""


@pytest.fixture
def plant(rabbit: Rabbit, tmp_path: Path) -> Iterator[Plant]:
    """One worker; bare Celery runs its job again before the first run has ended."""
    (tmp_path / "long.py").write_text(APP)
    valkey = start_valkey()
    plant = Plant(tmp_path, f"redis://127.0.0.1:{valkey.port}", "long", BROKER=rabbit.vhost("long"))
    try:
        plant.start("bills", pool="prefork", more=("-c", "4"))
        yield plant
    finally:
        plant.stop()
        valkey.stop()


def test_a_job_beyond_the_consumer_timeout_runs_once(plant: Plant) -> None:
    """RabbitMQ delivers both again; bare Celery runs it again, and will each time."""
    seconds = 2 * CONSUMER_TIMEOUT_S + 2
    plant.run(f"""
            from long import bare, bill
            bare.delay("bare", {seconds})
            print(bill.delay("bill", {seconds}).get(timeout=60) == "bill" and "true")
    """)
    runs = plant.folder / "runs"
    wait_until(lambda: runs.read_text().count("bare") >= 2, "bare Celery runs it again", 40)
    # What came after the timeout: the worker listens, and has dropped the duplicate.
    assert plant.run("""
            import json
            from long import bill
            print(json.dumps(bill.delay("next", 0).get(timeout=60)))
    """) == "next"  # fmt: skip
    assert runs.read_text().count("bill") == 1
    log = (plant.folder / "worker.log").read_text()
    assert f"within RabbitMQ's consumer_timeout ({CONSUMER_TIMEOUT_S} s)" in log
