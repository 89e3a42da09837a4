"""The controller's side of the broker, on a real Valkey: what counts as in a worker's hands."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from kombu import Connection
from redis import Redis
from structlog.testing import capture_logs

from rollout.adapters.celery.marks import Marks, milliseconds, sent_at, submitted_at
from rollout.adapters.celery.queues import HANDS_S, KombuQueues
from rollout.adapters.envelope import seal
from rollout.jobs.ports import Handed
from rollout.routing.decision import JobPath, Reason
from rollout.settings import read_settings
from rollout.wiring import Runtime
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


@pytest.mark.parametrize("task_id", [UUID(int=5), 5])
def test_an_id_that_is_no_text_is_read(valkey_url: str, task_id: Any) -> None:
    """Callers give UUID objects and numbers; a job of which nobody knows the id counts as lost."""
    name = f"shop-{uuid4().hex}"
    with Connection(valkey_url) as connection:
        channel = connection.default_channel
        connection.Producer(channel).publish(
            {}, routing_key=f"{name}.legacy", headers={"id": task_id}
        )
        waiting = KombuQueues(valkey_url, HandClock()).held(name).next_up
        assert str(task_id) in str(waiting)
        message = channel.basic_get(f"{name}.legacy")  # as a worker fetches it
        held = KombuQueues(valkey_url, HandClock()).held(name).by_workers
        message.ack()
    assert held is not None
    assert str(task_id) in held


@pytest.mark.parametrize("of_the_app", [True, False])
def test_the_transport_options_name_the_keys(
    valkey_url: str, no_settings: Path, of_the_app: bool
) -> None:
    """An app with a key prefix has its queues there; looking elsewhere would find nothing."""
    options = {"global_keyprefix": f"{uuid4().hex}:"}
    bare = Runtime(read_settings(broker_url=valkey_url))
    runtime = (
        Runtime(bare.settings, app_broker_options=options)
        if of_the_app
        else Runtime(read_settings(broker_url=valkey_url, broker_transport_options=options))
    )
    name = f"shop-{uuid4().hex}"
    queue = f"{name}.{JobPath.LEGACY}"
    with Connection(valkey_url, transport_options=options) as connection:
        connection.Producer().publish({}, routing_key=queue, headers={"id": "job-1"})
        assert runtime.queues.held(name).next_up[JobPath.LEGACY] == "job-1"
        assert bare.queues.held(name).next_up[JobPath.LEGACY] is None
        connection.default_channel.queue_purge(queue)


def test_a_message_tells_when_it_was_sent(valkey_url: str, no_settings: Path) -> None:
    """The first one by its submission, one that was sent again by that: they date the queue."""
    clock, name = HandClock(), f"shop-{uuid4().hex}"
    submitted = clock.now()
    marks = Marks("7", JobPath.LEGACY, "stage", 1, of="job-1", at=milliseconds(submitted))
    headers = {"id": "job-1", "task": "make", "rollout": marks.header()}
    parts = {"headers": headers, "body": [[], {}, {}], "properties": {"correlation_id": "job-1"}}
    queues = KombuQueues(valkey_url, clock)
    queue = f"{name}.{JobPath.LEGACY}"
    with Connection(valkey_url) as connection:
        connection.Producer().publish({}, routing_key=queue, headers=headers)
        assert queues.held(name).next_sent == {JobPath.LEGACY: submitted}
        connection.default_channel.queue_purge(queue)
        clock.advance(60)
        handed = Handed("job-1", name, seal(name, parts, 10_000), Reason.LOST_MESSAGE)
        queues.send_jobs([handed])
        assert queues.held(name).next_sent == {JobPath.LEGACY: clock.now()}
        connection.default_channel.queue_purge(queue)


@pytest.mark.parametrize("kept", ["{}", "no JSON", "[1]", "null"])
def test_a_row_that_holds_no_message_keeps_no_other_from_being_sent(
    valkey_url: str, kept: str
) -> None:
    """A kill sends all that waits: it says which it could not read, and goes on."""
    name = f"shop-{uuid4().hex}"
    headers = {"id": "job-2", "task": "make"}
    sound = seal(name, {"headers": headers, "body": [[], {}, {}], "properties": {}}, 10_000)
    queues = KombuQueues(valkey_url, HandClock())
    jobs = [
        Handed(job_id, name, envelope, Reason.LOST_MESSAGE)
        for job_id, envelope in (("job-1", kept), ("job-2", sound))
    ]
    with capture_logs() as lines:
        queues.send_jobs(jobs)
    assert queues.held(name).next_up[JobPath.LEGACY] == "job-2"
    assert [line["job"] for line in lines if line["log_level"] == "error"] == ["job-1"]
    with Connection(valkey_url) as connection:
        connection.default_channel.queue_purge(f"{name}.{JobPath.LEGACY}")


@pytest.mark.parametrize("encoding", [{"serializer": "theirs"}, {"compression": "theirs"}])
def test_an_encoding_that_is_not_known_here_is_sent_as_json(
    valkey_url: str, encoding: dict[str, str]
) -> None:
    """The user's code registers it, and a kill loads none of that: it sends the job still."""
    name = f"shop-{uuid4().hex}"
    parts = {
        "headers": {"id": "job-1", "task": "make"}, "body": [[7], {}, {}], "properties": {},
        "encoding": encoding,
    }  # fmt: skip
    handed = Handed("job-1", name, seal(name, parts, 10_000), Reason.KILLED)
    KombuQueues(valkey_url, HandClock()).send_jobs([handed])
    with Connection(valkey_url) as connection:
        message = connection.default_channel.basic_get(f"{name}.{JobPath.LEGACY}")
        message.ack()
    assert message.content_type == "application/json"
    assert message.decode()[0] == [7]


@pytest.mark.parametrize(
    "garbage",
    [b"no JSON", b"\xff\xfe", b"[1]", b'{"headers": {"id": {"__type__": "x", "__value__": 1}}}'],
)
def test_what_no_celery_has_put_there_keeps_the_controller_from_nothing(
    valkey_url: str, garbage: bytes
) -> None:
    """It says nothing about our jobs; without a worker it stays at the head of its queue."""
    name, tag = f"shop-{uuid4().hex}", uuid4().hex
    clock = HandClock()
    with closing(Redis.from_url(valkey_url)) as store:
        store.lpush(f"{name}.legacy", garbage)
        store.hset("unacked", tag, garbage)
        store.zadd("unacked_index", {tag: clock.now().timestamp()})
        try:
            held = KombuQueues(valkey_url, clock).held(name)
        finally:
            store.delete(f"{name}.legacy")
            store.hdel("unacked", tag)
            store.zrem("unacked_index", tag)
    assert held.next_up[JobPath.LEGACY] == ""
    assert held.waiting[JobPath.LEGACY] == 1


@pytest.mark.parametrize("at", [10**17, 10**400, -(10**17)], ids=["far", "farther", "before"])
def test_a_time_beyond_all_calendars_is_none(at: int) -> None:
    """Whoever mangled a header ends neither a turn of the controller nor a job."""
    now = HandClock().now()
    marks = Marks("7", "legacy", "out_of_scope", 3, at=at)
    assert sent_at({"rollout": marks.header()}) is None
    assert submitted_at(marks, now) == now
