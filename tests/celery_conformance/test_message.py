"""A message that is sent again is the first one, field by field."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Task
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker.request import Request

from rollout.adapters.celery.deliveries import job_of
from rollout.adapters.celery.marks import HEADER
from rollout.adapters.celery.message import celery_headers
from rollout.adapters.celery.outcomes import send_to_legacy
from rollout.adapters.celery.queues import KombuQueues
from rollout.errors import JobFailed
from rollout.jobs.claims import JobState
from rollout.jobs.ports import Handed
from rollout.routing.decision import JobPath, Reason
from tests.celery_conformance.in_memory import URL, app_in_memory, fields, take, waiting

EVERYTHING: dict[str, Any] = {
    "task_id": "job-1",
    "eta": datetime(2026, 11, 2, tzinfo=UTC),
    "expires": datetime.now(UTC) + timedelta(hours=1),
    "shadow": "another name",
    "priority": 4,
    "time_limit": 90,
    "soft_time_limit": 80,
    "retries": 2,
    "group_id": "a group",
    "group_index": 3,
    "root_id": "root",
    "parent_id": "parent",
    "reply_to": "someone",
    "argsrepr": "hidden",
    "kwargsrepr": "hidden",
    "ignore_result": False,
    "compression": "gzip",
    "delivery_mode": 1,
    "headers": {"tenant": "acme"},
    "stamped_headers": ["customer"],
    "customer": "acme",
    "user_id": "guest",
    "app_id": "shop",
}
"""A value for everything that a caller may put on a message."""


@pytest.fixture
def app() -> Iterator[Any]:
    """An app with one sub-pipeline, all in memory."""
    with app_in_memory() as made:
        yield made


def submit(app: Any) -> Any:
    """Send a job with everything on it, and take its message from the queue."""
    steps = [app.bills.s(n) for n in range(2)]
    app.bills.apply_async(
        (1,), {"n": 2}, link=steps[0], link_error=steps[1], chain=[dict(steps[0])],
        chord=dict(steps[1]), **EVERYTHING,
    )  # fmt: skip
    return take()


def test_everything_that_celery_puts_on_a_message_was_asked_for(app: Any) -> None:
    """A header that Celery adds is in the comparison as soon as somebody gives it a value."""
    headers = submit(app).headers
    assert set(celery_headers(app)) <= set(headers)
    same_by_nature = {"lang", "origin", "replaced_task_nesting"}
    plain = app.amqp.as_task_v2("job-2", "shop.bill").headers
    for name in set(celery_headers(app)) - same_by_nature - {"task", "ignore_result"}:
        assert headers[name] != plain[name], f"give {name!r} a value in EVERYTHING"


def test_what_the_ledger_sends_again(app: Any) -> None:
    """The sweeper, a kill and `rollout retry` publish the stored envelope."""
    first = submit(app)
    record = app.bills.ledger.job("invoices", "job-1")
    queues = KombuQueues(URL, app.bills.clock)
    queues.send_jobs([Handed("job-1", "invoices", record.envelope, Reason.KILLED)])
    assert fields(take()) == fields(first)


def test_what_a_worker_sends_again(app: Any) -> None:
    """A fallback publishes what was delivered; the signal is not asked a second time."""
    first = submit(app)
    task = app.bills.task
    request = Request(first, app=app, hostname="w@host", task=task)
    context = Context(request.request_dict, **first.payload[2])
    context.update(args=first.payload[0], kwargs=first.payload[1])
    job = job_of(task.rollout, context)
    assert job is not None
    assert context.headers == {"tenant": "acme", "traceparent": "trace 0"}
    send_to_legacy(task, context, Reason.FAILED, recorded=False)
    assert fields(take()) == fields(first)


def test_what_a_body_has_changed_is_not_sent_again(app: Any) -> None:
    """Its arguments, the rest of its chain, what a handler gave it: the first message goes."""
    first = submit(app)
    task = app.bills.task
    request = Request(first, app=app, hostname="w@host", task=task)
    context = Context(request.request_dict, **first.payload[2])
    context.update(args=["changed"], kwargs={"session": object()}, chain=None, callbacks=None)
    job_of(task.rollout, context)
    send_to_legacy(task, context, Reason.FAILED, recorded=True)
    assert fields(take()) == fields(first)


def test_marks_count_for_their_own_job_only(app: Any) -> None:
    """Headers that a body forwards make no other job a fallback."""
    first = submit(app)
    fell_back = {**first.headers[HEADER], "reason": str(Reason.FAILED)}
    app.bills.apply_async((1,), task_id="job-2", headers={**first.headers, HEADER: fell_back})
    assert app.bills.ledger.job("invoices", "job-2").reason is Reason.UNKNOWN
    assert take().headers[HEADER]["of"] == "job-2"


def test_a_replacement_is_a_job_of_its_own(app: Any) -> None:
    """`Task.replace` sends it under the id of what it replaces."""
    app.bills.apply_async((1,), task_id="job-1")
    app.bills.apply_async((2,), task_id="job-1", replaced_task_nesting=1)
    take()
    take()
    first, second = (app.bills.ledger.job("invoices", one) for one in ("job-1", "job-1~1"))
    assert first.envelope != second.envelope


def test_retries_of_the_concurrent_path_are_not_legacys(app: Any) -> None:
    """What is kept for legacy has the retries that legacy has used."""
    sent = submit(app)
    assert sent.headers["retries"] == 2
    assert '"retries": 2' in app.bills.ledger.job("invoices", "job-1").envelope


def test_many_jobs_carry_the_same(app: Any) -> None:
    """`submit_many` asks the signals, too, and keeps what they add."""
    app.bills.submit_many([{"n": 1}, {"n": 2}])
    for number in range(2):
        message = take()
        assert message.headers["traceparent"] == f"trace {number}"
        record = app.bills.ledger.job("invoices", message.headers["id"])
        assert f"trace {number}" in record.envelope


def test_many_jobs_are_sent_as_one_is(app: Any) -> None:
    """Field by field, but for their ids."""
    app.conf.task_send_sent_event = True
    heard: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": heard.append})
        with receiver.consumer_context() as (listening, _, _):
            one = app.bills.delay(n=1)
            many = app.bills.submit_many([{"n": 1}, {"n": 1}])
            for _ in range(3):
                listening.drain_events(timeout=5)

    def plain(message: Any, result: Any, number: int) -> dict[str, Any]:
        text = repr(fields(message)).replace(result.id, "id")
        return {"text": text.replace(f"trace {number}", "trace")}

    alone, *together = (plain(take(), result, number) for number, result in enumerate((one, *many)))
    assert together == [alone, alone]
    ids = [event["uuid"] for event in heard if event["type"] == "task-sent"]
    assert ids == [one.id, *(result.id for result in many)]


class Tenants(Task):  # type: ignore[misc]  # Celery has no types
    """A base that puts a header on what is sent, and refuses some."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send it with a tenant."""
        if kwargs and kwargs["n"] == 13:
            raise LookupError("no tenant")
        options["headers"] = {**(options.get("headers") or {}), "tenant": "acme"}
        return super().apply_async(args, kwargs, **options)


def test_many_jobs_go_the_way_of_their_class() -> None:
    """Its `apply_async` is asked for each; one that it refuses leaves all of them unsent."""
    with app_in_memory(base=Tenants) as app:
        app.bills.submit_many([{"n": 1}, {"n": 2}])
        assert [take().headers["tenant"] for _ in range(2)] == ["acme", "acme"]
        with pytest.raises(LookupError):
            app.bills.submit_many([{"n": 1}, {"n": 13}])
        assert waiting("invoices.legacy") is None
        app.conf.task_always_eager = True
        assert [one.get() for one in app.bills.submit_many([{"n": 1}])] == [()]


def test_an_event_of_a_sent_job_is_no_job(app: Any) -> None:
    """`task_send_sent_event`: monitors see it, and the queue holds one message."""
    app.conf.task_send_sent_event = True
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        with receiver.consumer_context() as (listening, _, _):
            app.bills.delay(1)
            listening.drain_events(timeout=5)
    assert take().headers["task"] == "shop.bill"
    assert waiting("invoices.legacy") is None
    assert [(event["type"], event["queue"]) for event in events] == [
        ("task-sent", "invoices.legacy")
    ]


def test_a_soft_limit_that_strikes_in_an_act_of_ours(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has its outcome all the same, and its caller is told that one."""
    message = submit(app)
    task, ledger = app.bills.task, app.bills.ledger
    request = Request(message, app=app, hostname="w@host", task=task)
    fail = ledger.fail
    struck: list[int] = []

    def slow(*args: Any, **options: Any) -> Any:
        if not struck:
            struck.append(1)
            raise SoftTimeLimitExceeded
        return fail(*args, **options)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("the path itself")

    monkeypatch.setitem(app.bills.paths, JobPath.LEGACY, broken)
    monkeypatch.setattr(ledger, "fail", slow)
    task.push_request(request.request_dict, called_directly=False, args=(1,), kwargs={"n": 2})
    try:
        with pytest.raises(JobFailed):
            task(1, n=2)
    finally:
        task.pop_request()
    assert struck
    assert ledger.job("invoices", "job-1").state is JobState.FAILED


def test_a_link_may_be_the_object(app: Any) -> None:
    """`link=bill` and `link_error=[bill]`: the message has a signature of the task."""
    app.bills.apply_async((1,), link=app.bills, link_error=[app.bills])
    follows = take().payload[2]
    assert [one["task"] for one in follows["callbacks"]] == ["shop.bill"]
    assert [one["task"] for one in follows["errbacks"]] == ["shop.bill"]
