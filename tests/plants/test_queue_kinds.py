"""Queues that an operator declared on RabbitMQ before us, and users that may do little there."""

from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.clock import SystemClock
from rollout.adapters.envelope import seal
from rollout.errors import BrokerRefuses, BrokerUnreachable
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Handed
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME
from tests.plants.rabbit import Rabbit
from tests.waiting import wait_until
from tests.world import World

pytestmark = pytest.mark.plants

ARGUMENTS = {"x-queue-type": "quorum", "x-max-length": 3, "x-dead-letter-exchange": "dead"}


@pytest.fixture
def declared(rabbit: Rabbit) -> str:
    """The address of a virtual host in which legacy's queue is an operator's."""
    url = rabbit.vhost(f"declared-{uuid4().hex}")
    with Connection(url) as connection:
        Queue(f"{NAME}.legacy", queue_arguments=ARGUMENTS)(connection).declare()
    return url


def app_of(world: World, url: str) -> tuple[Any, SubPipeline]:
    """An app on a broker, with a sub-pipeline."""
    app: Any = Celery("kinds", broker=url, set_as_current=False)
    pipeline = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    return app, pipeline


def test_a_queue_that_was_declared_otherwise_is_told(
    world: World, declared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the worker that cannot listen, and to the producer, whose job is the sweeper's."""
    app, pipeline = app_of(world, declared)
    app.amqp.queues.select([f"{NAME}.legacy"])
    with app.connection() as connection, pytest.raises(BrokerRefuses, match="was declared with x-"):
        app.amqp.TaskConsumer(connection.channel())
    result = pipeline.delay(n=1)
    assert world.ledger.job(NAME, result.id).state is JobState.ACCEPTED
    assert "task_queues" in capsys.readouterr().out
    app.close()


def test_an_app_that_names_it_as_it_is_uses_it(world: World, declared: str) -> None:
    """And what its length drops is counted as less than there are jobs."""
    app, pipeline = app_of(world, declared)
    names = (f"{NAME}.legacy", f"{NAME}.concurrent")
    app.conf.task_queues = [
        Queue(name, Exchange(name), name, queue_arguments=ARGUMENTS) for name in names
    ]
    for n in range(5):
        pipeline.delay(n=n)
    queues = KombuQueues(declared, SystemClock())
    wait_until(lambda: queues.held(NAME).waiting[JobPath.LEGACY] == 3, "its length is kept", 10)
    app.close()


def test_missing_rights_are_named_and_nothing_is_made(rabbit: Rabbit) -> None:
    """What the page listed before lacked the exchange that every message is sent through."""
    url = rabbit.vhost("rights")
    ours = rf"^{NAME}\.(legacy|concurrent|shadow)$"
    rabbit.control("add_user", "few", "pw")
    user = KombuQueues(rabbit.url("few:pw", "rights"), SystemClock())
    sealed = seal(NAME, {"headers": {"id": "a", "task": "t"}, "body": [[], {}, {}],
                         "properties": {}}, 10_000)  # fmt: skip
    handed = [Handed("a", NAME, sealed, Reason.KILLED)]

    def granted(configure: str, write: str, read: str) -> list[str]:
        rabbit.control("set_permissions", "-p", "rights", "few", configure, write, read)
        return list(user.refused_to([NAME]))

    both = f"{NAME}.legacy, {NAME}.concurrent"
    assert granted("^$", "^$", "^$") == [
        f"the right to configure {both}", f"the right to read {both}",
        "the right to write amq.default",
    ]  # fmt: skip
    assert granted(ours, ours, ours) == ["the right to write amq.default"]
    with pytest.raises(BrokerUnreachable, match="refuses this user a queue or an exchange"):
        user.send_jobs(handed)
    assert granted(ours, f"{ours[:-1]}|^amq\\.default$", ours) == []
    assert KombuQueues(url, SystemClock()).refused_to([NAME]) == ()
    assert rabbit.control("list_queues", "-p", "rights", "name", "--no-table-headers") == ""
    user.send_jobs(handed)
