"""A worker renews as long as anything runs: while it stops, and while it looks for its broker."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from celery.worker import state

from rollout.adapters.celery.renewal import Renewals, starts_of
from rollout.adapters.celery.steps import finish_or_hand_back
from rollout.jobs.claims import JobState
from rollout.jobs.delivery import ToLegacy
from rollout.jobs.ports import Job, Running
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from tests.builders import NAME, SILENT_AFTER, filing
from tests.world import World

TASK = "shop.bill"


class Request:
    """A delivery that this process runs, as Celery's state holds it."""

    def __init__(self, path: JobPath = JobPath.CONCURRENT) -> None:
        self.id, self.hostname, self.worker_pid = "job-1", "w", os.getpid()
        self.delivery_info = {"routing_key": f"{NAME}.{path}"}
        self.request_dict: dict[str, object] = {}
        self.task = Mock()
        self.task.name = TASK


@pytest.fixture
def running(world: World) -> Iterator[tuple[World, SubPipeline, Request]]:
    """An unsafe job that this process has started, and runs."""
    pipeline = world.declare("unsafe")
    world.ledger.file([filing(at=world.clock.now())])
    worker = f"w:{os.getpid()}"
    world.ledger.claim(
        NAME, "job-1", JobPath.CONCURRENT, pipeline.effects, worker, world.clock.now(),
        SILENT_AFTER,
    )  # fmt: skip
    request = Request()
    state.active_requests.add(request)
    yield world, pipeline, request
    state.active_requests.discard(request)


@pytest.mark.parametrize("grace_s", [30, 60])
def test_an_unsafe_job_that_finishes_within_its_grace_is_never_silent(
    running: tuple[World, SubPipeline, Request], grace_s: int
) -> None:
    """Far past `stop_after_s` and `silent_after_s`: the stop waits for it, and vouches for it."""
    world, pipeline, request = running
    began = world.clock.monotonic()

    def live(call: str) -> None:
        """What else happens at each look: the controller sweeps, and in the end the job is done."""
        if call != "job":
            return
        now = world.clock.now()
        assert world.ledger.resend_silent(NAME, SILENT_AFTER, now, 10) == []
        assert world.ledger.job(NAME, "job-1").state is not JobState.FAILED
        if world.clock.monotonic() - began > grace_s - 2:
            state.active_requests.discard(request)

    world.line.before = live
    pipelines: Any = {TASK: pipeline}
    finish_or_hand_back(pipelines, Renewals(pipelines))
    assert world.clock.monotonic() - began > grace_s - 2
    assert world.ledger.job(NAME, "job-1").state is JobState.STARTED


def test_a_cold_shutdown_waits_for_nobody(
    running: tuple[World, SubPipeline, Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal ends the waiting."""
    world, pipeline, _ = running
    monkeypatch.setattr(state, "should_terminate", 0)
    pipelines: Any = {TASK: pipeline}
    finish_or_hand_back(pipelines, Renewals(pipelines))
    assert world.clock.slept_s == []


def test_a_worker_that_looks_for_its_broker_renews(
    running: tuple[World, SubPipeline, Request],
) -> None:
    """Celery's timer stands still while it reconnects; the pauses between its tries do not."""
    world, pipeline, _ = running
    pipelines: Any = {TASK: pipeline}
    asked: list[str] = []

    def reconnect(errback: Any, retries: Any, callback: Any = None, **options: Any) -> str:
        for _ in range(90):
            world.clock.advance(1)
            callback()
            assert world.ledger.resend_silent(NAME, SILENT_AFTER, world.clock.now(), 9) == []
        return "connected"

    connection = Mock(ensure_connection=reconnect)
    consumer = Mock()
    consumer.ensure_connected = lambda made: made.ensure_connection(
        None, 5, callback=lambda: asked.append("stop?")
    )
    Renewals(pipelines).while_reconnecting(consumer)
    assert consumer.ensure_connected(connection) == "connected"
    assert len(asked) == 90  # Celery's own question at each pause is still asked
    heard = world.ledger.job(NAME, "job-1").renewed_at
    assert heard is not None
    assert world.clock.now() - heard < timedelta(seconds=11)


def test_a_start_is_named_by_its_process_and_its_path() -> None:
    """The child's number and ours, as other pools number threads; foreign queues are legacy."""
    request = Request(JobPath.LEGACY)
    me = f"w:{os.getpid()}"
    assert starts_of(NAME, request) == [Running(NAME, "job-1", me, JobPath.LEGACY)]
    request.worker_pid, request.delivery_info = 1, {"routing_key": "elsewhere"}
    assert starts_of(NAME, request) == [
        Running(NAME, "job-1", "w:1", JobPath.LEGACY),
        Running(NAME, "job-1", me, JobPath.LEGACY),
    ]


def test_a_job_that_another_worker_has_by_now_is_not_handed_back(world: World) -> None:
    """This one was paused and given up; told to stop, it leaves the other's run alone."""
    pipeline = world.declare("none")
    world.ledger.file([filing(path=JobPath.LEGACY, at=world.clock.now())])
    world.ledger.claim(
        NAME, "job-1", JobPath.LEGACY, pipeline.effects, "other:7", world.clock.now(), SILENT_AFTER
    )
    job = Job("job-1", NAME, "7", JobPath.CONCURRENT, 0)
    mine = [start.worker for start in starts_of(NAME, Request())]
    assert world.attempts.hand_back(pipeline.declared, job, mine) is None
    assert world.ledger.job(NAME, "job-1").state is JobState.STARTED
    handed = world.attempts.hand_back(pipeline.declared, job, ["other:7"])
    assert handed == ToLegacy(Reason.STOPPED)
