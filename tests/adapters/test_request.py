"""A failure that Celery meets after the job's commit is not the job's."""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.exceptions import Ignore, Reject
from celery.worker import state
from celery.worker.state import revoked as revoked_tasks

from rollout.jobs.claims import Claim
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from tests.builders import NAME, SILENT_AFTER, filing
from tests.hand_clock import START
from tests.world import World


@pytest.fixture
def request_of(world: World) -> Iterator[Any]:
    """A delivery on legacy as the worker's main process holds it."""
    app = Celery("request", broker="memory://", backend="cache+memory://", set_as_current=False)
    made = SubPipeline(NAME, app=app, effects="none", runtime=world.runtime)
    made.legacy(lambda n: n)
    made.concurrent(lambda n: n)
    world.ledger.ensure(NAME, Effects.NONE, 0, START)
    headers = {"id": "job-1", "task": made.task.name, "lang": "py", "root_id": "job-1"}
    message = Mock(headers=headers, properties={}, delivery_info={"routing_key": f"{NAME}.legacy"})
    message.body, message.payload = b"[[1], {}, {}]", [[1], {}, {}]
    made_request = made.task.Request(
        message, app=app, task=made.task, hostname="w", eventer=Mock(), decoded=True,
        body=message.payload, headers=headers, on_ack=Mock(), on_reject=Mock(),
    )  # fmt: skip
    yield made_request
    app.close()


def after_the_path(internal: bool) -> Any:
    """The information of an error, of Celery's own or of the path."""
    try:
        raise ConnectionError("the result backend is away")
    except ConnectionError:
        return ExceptionInfo(internal=internal)


def finish(world: World) -> None:
    """Give the job its outcome."""
    world.ledger.file([filing(path=JobPath.LEGACY)])
    claim = world.ledger.claim(
        NAME, "job-1", JobPath.LEGACY, Effects.NONE, "w:1", START, SILENT_AFTER
    )
    assert isinstance(claim, Claim)
    world.ledger.commit(claim, Effects.NONE, lambda connect: "1", START)


@pytest.mark.parametrize(("internal", "return_ok"), [(True, True), (False, False)])
def test_an_outcome_whose_telling_failed_is_delivered_again(
    world: World, request_of: Any, internal: bool, return_ok: bool
) -> None:
    """It is in the ledger; the next delivery tells it.

    The second is what a child of Celery 5.7 sends: its error's own telling failed, too.
    """
    finish(world)
    request_of.on_failure(after_the_path(internal), return_ok=return_ok)
    assert request_of._on_reject.call_args.args[-1] is True  # requeued
    assert not request_of._on_ack.called


@pytest.mark.parametrize("internal", [False, True])
def test_an_error_before_the_outcome_is_celerys_to_tell(
    world: World, request_of: Any, internal: bool
) -> None:
    """The path's own error, and an error of Celery's before the job was over, are failures."""
    world.ledger.file([filing(path=JobPath.LEGACY)])
    request_of.on_failure(after_the_path(internal))
    assert not request_of._on_reject.called
    assert request_of._on_ack.called


def test_a_paths_own_error_is_told_by_its_process(world: World, request_of: Any) -> None:
    """The ledger has the outcome, and the child has told it: nothing is delivered again."""
    finish(world)
    request_of.on_failure(after_the_path(internal=False), return_ok=True)
    assert not request_of._on_reject.called
    assert request_of._on_ack.called


def test_what_is_no_exception_but_raised_is_told_as_it_is(world: World, request_of: Any) -> None:
    """Celery lets it out of the child, too, and has stored nothing: its main process does."""
    finish(world)
    try:
        raise BaseExceptionGroup("cancelled", [GeneratorExit()])
    except BaseExceptionGroup:
        request_of.on_failure(ExceptionInfo(), return_ok=False)
    assert not request_of._on_reject.called
    assert request_of._on_ack.called


@pytest.mark.parametrize("said", [Ignore(), Reject("no", requeue=False)])
def test_a_duplicate_of_a_finished_job_is_not_delivered_again(
    world: World, request_of: Any, said: Exception
) -> None:
    """What the task says to Celery ends the delivery; Celery calls it internal all the same."""
    finish(world)
    try:
        raise said
    except type(said):
        request_of.on_failure(ExceptionInfo(internal=True))
    rejected = request_of._on_reject.call_args
    assert rejected is None or rejected.args[-1] is False
    assert request_of._on_ack.called is isinstance(said, Ignore)


def test_a_job_that_runs_on_legacy_by_now_can_be_revoked(request_of: Any) -> None:
    """Celery knows requests by their job's id, and forgets the one that ended by it."""
    handed_over, on_legacy = request_of, copy(request_of)
    for one in (handed_over, on_legacy):
        state.task_reserved(one)
        state.task_accepted(one)
    try:
        raise Ignore
    except Ignore:
        handed_over.on_failure(ExceptionInfo(), return_ok=True)
    assert state.requests["job-1"] is on_legacy
    try:
        raise Ignore
    except Ignore:
        on_legacy.on_failure(ExceptionInfo(), return_ok=True)
    assert "job-1" not in state.requests


EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def late(request_of: Any) -> Iterator[Any]:
    """A delivery on legacy whose time was over long ago."""
    request_of.expires = EXPIRED
    yield request_of
    revoked_tasks.discard("job-1")


def begin(world: World) -> None:
    """Start the job on the concurrent path."""
    world.ledger.file([filing()])
    path = JobPath.CONCURRENT
    world.ledger.claim(NAME, "job-1", path, Effects.NONE, "w:1", START, SILENT_AFTER)


@pytest.mark.parametrize("how", ["fell back", "sent again by hand"])
def test_a_job_that_started_in_time_is_not_discarded_on_legacy(
    world: World, late: Any, how: str
) -> None:
    """`expires` bounds the start: legacy takes over what was begun, and what a person retries."""
    begin(world)
    if how == "fell back":
        world.ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "boom", START)
    else:
        world.ledger.fail(NAME, "job-1", 1, None, "boom", START)
        world.ledger.reopen(NAME, "job-1", START)
    assert not late.revoked()
    assert "job-1" not in revoked_tasks
    assert not late._on_ack.called


def test_a_leftover_of_a_job_that_runs_or_is_over_is_no_revocation(world: World, late: Any) -> None:
    """Its caller would be told that a job is revoked which has its result."""
    finish(world)
    assert not late.revoked()


@pytest.mark.parametrize("how", ["not started", "turned away", "retried", "not filed"])
def test_what_did_not_start_in_time_expires(world: World, late: Any, how: str) -> None:
    """As it does without rollout, a retry that comes too late included."""
    match how:
        case "not started":
            world.ledger.file([filing()])
        case "turned away":
            world.ledger.file([filing()])
            world.ledger.hand_over(NAME, "job-1", None, Reason.KILLED, None, START)
        case "retried":
            begin(world)
            world.ledger.release(filing(path=JobPath.LEGACY), 1)
    assert late.revoked()
    assert late._on_ack.called


def test_a_revocation_holds_for_a_job_whose_time_is_over_too(world: World, late: Any) -> None:
    """A person has revoked it meanwhile."""
    begin(world)
    world.ledger.hand_over(NAME, "job-1", 1, Reason.FAILED, "boom", START)
    revoked_tasks.add("job-1")
    assert late.revoked()
