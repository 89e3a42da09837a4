"""RabbitMQ that answers and takes no messages: `doctor` says so, a job is filed, nobody is told."""

from typing import Any

import pytest
from celery import Celery

from rollout.adapters.celery import message
from rollout.adapters.celery.queues import KombuQueues
from rollout.adapters.clock import SystemClock
from rollout.adapters.envelope import seal
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Handed
from rollout.pipeline import SubPipeline
from rollout.routing.decision import Reason
from tests.builders import NAME
from tests.plants.rabbit import Rabbit
from tests.waiting import wait_until
from tests.world import World

pytestmark = [pytest.mark.plants, pytest.mark.timeout(120)]


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


def test_a_confirmation_is_not_waited_for_without_end(
    rabbit: Rabbit, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is filed; whoever asks for confirmations would wait until somebody frees memory."""
    monkeypatch.setattr(message, "TAKEN_S", 0.5)
    app: Any = Celery("confirmed", broker=rabbit.url(), set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True}
    app.conf.task_publish_retry_policy = {"max_retries": 1}
    pipeline = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    pipeline.legacy(lambda n: n)
    pipeline.concurrent(lambda n: n)
    pipeline.delay(n=0)
    rabbit.control("set_vm_memory_high_watermark", "0.000001")
    try:
        queues = KombuQueues(rabbit.url(), SystemClock())
        wait_until(lambda: queues.blocked_by() is not None, "the alarm is raised", 20)
        for result in (pipeline.delay(n=1), *pipeline.submit_many([{"n": 2}])):
            assert world.ledger.job(NAME, result.id).state is JobState.ACCEPTED
    finally:
        rabbit.control("set_vm_memory_high_watermark", "absolute", "512MB")
        app.close()
