"""RabbitMQ that answers and takes no messages: `doctor` says so, a job is filed, nobody is told."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.clock import SystemClock
from rollout.adapters.envelope import seal
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Handed
from rollout.pipeline import SubPipeline
from rollout.routing.decision import Reason
from tests.builders import NAME
from tests.crash.children import Children
from tests.crash.servers import wait_for_port
from tests.plants import debian
from tests.ports import free_port
from tests.waiting import wait_until
from tests.world import World

pytestmark = pytest.mark.plants


class Rabbit:
    """A RabbitMQ, and its administrator's command."""

    def __init__(self, folder: Path) -> None:
        debian.install()
        self.port, inner, self._mapper = free_port(), free_port(), free_port()
        self.children = Children(folder / "logs")
        self._names = debian.erlang_mapper(folder / "rabbit", self._mapper)
        self._server = debian.rabbitmq(folder / "rabbit", self.port, inner, self._mapper)

    def start(self) -> None:
        """Start it, after the mapper of names that it asks."""
        servers = (("mapper", self._names, self._mapper), ("rabbit", self._server, self.port))
        for name, one, port in servers:
            self.children.start(name, one.words, one.env, user=one.user, cwd=one.folder)
            wait_for_port(port, 120)

    def control(self, *words: str) -> None:
        """Run `rabbitmqctl`."""
        one = self._server
        subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *words], env=one.env, user=one.user,
            cwd=one.folder, check=True, capture_output=True, timeout=120,
        )  # fmt: skip

    def url(self, login: str = "guest:guest") -> str:
        """Its address for a user."""
        return f"amqp://{login}@127.0.0.1:{self.port}//"


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Rabbit]:
    """One server for the tests of this file, in a folder that its own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="alarm-"))
    folder.chmod(0o711)
    server = Rabbit(folder)
    try:
        server.start()
        yield server
    finally:
        server.children.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_an_alarm_is_said(rabbit: Rabbit) -> None:
    """It answers all the while, except who has published: no wait for it is without an end."""
    queues = KombuQueues(rabbit.url(), SystemClock())
    assert queues.blocked_by() is None
    rabbit.control("set_vm_memory_high_watermark", "0.000001")
    try:
        wait_until(lambda: queues.blocked_by() is not None, "the alarm is raised", 20)
        assert "takes no messages" in str(queues.blocked_by())
        # A kill that sends its queued jobs back meanwhile comes to its end.
        parts = {"headers": {"id": "a", "task": "make"}, "body": [[], {}, {}], "properties": {}}
        sealed = seal(NAME, parts, 10_000)
        queues.send_jobs([Handed("a", NAME, sealed, Reason.KILLED)])
    finally:
        rabbit.control("set_vm_memory_high_watermark", "absolute", "512MB")


@pytest.mark.parametrize("retry", [True, False])
def test_a_refused_message_is_the_sweepers(rabbit: Rabbit, world: World, retry: bool) -> None:
    """The job is filed: a caller who is told of an error would submit it a second time."""
    rabbit.control("add_user", f"few{retry}", "pw")
    rabbit.control("set_permissions", f"few{retry}", "^$", ".*", ".*")
    app: Any = Celery("refused", broker=rabbit.url(f"few{retry}:pw"), set_as_current=False)
    app.conf.task_publish_retry = retry
    pipeline = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    alone = pipeline.delay(n=1)
    together = pipeline.submit_many([{"n": 2}, {"n": 3}])
    for result in (alone, *together):
        assert world.ledger.job(NAME, result.id).state is JobState.ACCEPTED
    app.close()
