"""The controller's side of the broker, on a real Valkey: what counts as in a worker's hands."""

from contextlib import closing
from datetime import timedelta
from uuid import uuid4

import pytest
from kombu import Connection
from redis import Redis

from rollout.adapters.celery.queues import HANDS_S, KombuQueues
from rollout.core.decision import JobPath
from tests.hand_clock import HandClock


@pytest.mark.parametrize(("minutes", "spared"), [(1, True), (11, False)])
def test_a_message_fetched_long_ago_is_in_nobodys_hands(
    valkey_url: str, minutes: int, spared: bool
) -> None:
    """Its worker may be dead, and the broker gives it back after an hour only."""
    clock = HandClock()
    name, job_id = f"shop-{uuid4().hex}", uuid4().hex
    with Connection(valkey_url) as connection, closing(Redis.from_url(valkey_url)) as store:
        channel = connection.default_channel
        connection.Producer(channel).publish(
            {}, routing_key=f"{name}.legacy", headers={"id": job_id}
        )
        message = channel.basic_get(f"{name}.legacy")  # as a worker fetches it
        try:
            taken = clock.now() - timedelta(minutes=minutes)
            store.zadd("unacked_index", {message.delivery_tag: taken.timestamp()})
            held = KombuQueues(valkey_url, clock).held(name).by_workers
            assert held is not None
            assert (job_id in held) is spared
            assert 60 < HANDS_S < 660
        finally:
            message.ack()


def test_the_apps_transport_options_name_the_keys(valkey_url: str) -> None:
    """An app with a key prefix has its queues there; looking elsewhere would find nothing."""
    clock = HandClock()
    options = {"global_keyprefix": f"{uuid4().hex}:"}
    name = f"shop-{uuid4().hex}"
    queue = f"{name}.{JobPath.LEGACY}"
    with Connection(valkey_url, transport_options=options) as connection:
        connection.Producer().publish({}, routing_key=queue, headers={"id": "job-1"})
        held = KombuQueues(valkey_url, clock, options).held(name)
        assert held.next_up[JobPath.LEGACY] == "job-1"
        assert KombuQueues(valkey_url, clock).held(name).next_up[JobPath.LEGACY] is None
        connection.default_channel.queue_purge(queue)
