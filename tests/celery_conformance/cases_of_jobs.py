"""Cases of one job: what its task, its body and its caller may do."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from celery import signature
from celery.beat import Scheduler

from tests.celery_conformance.bodies import Money, Order
from tests.celery_conformance.caller import Caller
from tests.celery_conformance.notes import PATIENCE_S
from tests.celery_conformance.table import case, of

TOO_LONG_S = PATIENCE_S
"""A body that is ended: by a limit, or by its owner."""
REVOKED_S = 15
"""What waits this long is revoked meanwhile; a worker says so when its time has come."""

for _task in ("plain", "bound", "hooked", "called", "ignored", "storing", "tracked", "rated"):
    of(f"{_task}_returns", _task, "return", 1, "two")
    of(f"{_task}_fails", _task, "fail")
of("plain_tuple", "plain", "tuple", 1, 2)
of("object_is_no_result", "plain", "object")
of("object_nobody_wants", "ignored", "object")
of("retries", "hooked", "retry", "a")
of("retries_with_other_arguments", "hooked", "retry with", "a", priority=3)
of("retries_exhausted", "hooked", "exhaust")
of("autoretry", "auto", "auto")
of("autoretry_when_the_other_path_has_used_its_own", "auto", "auto later")
of("autoretry_exhausted", "auto", "auto exhaust")
of("autoretry_not_for", "auto", "fail")
of("rejects", "plain", "reject")
of("rejects_and_requeues", "late", "reject once")
of("replaced", "hooked", "replace", 7)
of("replaced_by_itself", "hooked", "replace itself", 7)
of("replaced_by_a_group", "hooked", "replace group")
of("replaced_by_a_chain", "plain", "replace chain")
of("exits", "plain", "exit")
of("helper_of_the_base", "hooked", "helper")
of("in_the_context_of_its_call", "called", "inside")
of("request_attributes", "plain", "request")
of("request_attributes_bound", "bound", "request")
of("task_options_on_the_message", "carried", "request")
of("caller_options_on_the_message", "plain", "request", expires=300, priority=5,
    time_limit=200, soft_time_limit=100, shadow="another name", argsrepr="hidden",
    kwargsrepr="hidden too", headers={"tenant": "acme"}, reply_to="someone", root_id="root",
    parent_id="parent", compression="zlib", ignore_result=False)  # fmt: skip
of("forwards_its_headers", "plain", "child", headers={"tenant": "acme"})
of("sends_itself_with_its_headers", "plain", "self again", headers={"tenant": "acme"})
of("a_base_that_locks", "refusing", "return", 1)
of("soft_limit", "soft", "sleep", s=TOO_LONG_S)
of("hard_limit", "hard", "sleep", s=TOO_LONG_S)
of("hard_limit_of_the_caller", "plain", "sleep", s=TOO_LONG_S, time_limit=6)
of("countdown", "plain", "return", 1, countdown=0.3)
of("eta", "plain", "return", 1, eta=datetime.now(UTC) + timedelta(seconds=0.3))
of("eta_without_a_zone", "plain", "return", 1, eta=datetime.now(UTC).replace(tzinfo=None))
of("expires_in_seconds", "plain", "return", 1, expires=300)
of("expires_without_a_zone", "plain", "return", 1,
    expires=datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1))  # fmt: skip
of("retries_without_raising", "hooked", "retry quietly")
of("retries_at_a_time", "hooked", "retry at")
of("retries_with_options", "hooked", "retry marked", headers={"tenant": "acme"})
of("retries_after_a_countdown", "hooked", "retry", countdown=0.2)
of("retries_for_ever", "backing_off", "auto")
of("retries_as_annotated", "annotated", "exhaust")
of("soft_limit_that_is_caught", "soft", "catch", s=TOO_LONG_S)
of("an_error_that_cannot_be_pickled", "hooked", "odd error")
of("no_exception_but_raised", "plain", "no exception")
of("tells_its_progress", "hooked", "progress")
of("waits_for_a_child", "plain", "wait for a child", 1)
of("waits_for_its_own_kind", "plain", "wait for itself")
of("waits_for_a_child_against_the_rule", "plain", "wait in vain", 1)
of("replaced_by_a_chord", "plain", "replace chord")
of("gives_a_generator", "plain", "generate")
of("inherited_returns", "inherited", "return", 1)
of("inherited_helper", "inherited", "helper")
of("inherited_exhausts", "inherited", "exhaust")
of("a_header_of_the_base", "decorated", "request")
of("the_queue_that_it_came_by", "plain", "queue")
of("a_queue_of_the_caller", "plain", "queue", queue="celery")
of("no_result_wanted", "plain", "return", 1, ignore_result=True)
of("failure_not_acknowledged", "unacked", "fail")

of("own_types_and_celerys", "plain", "kinds", Money(120), Decimal("1.10"), UUID(int=7),
    datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), b"\x00\xff", {"k": [1]})  # fmt: skip
of("a_priority_that_is_inherited", "plain", "priority of a child", priority=4)
of("options_of_a_route", "routed", "request")
of("annotated_fails", "annotated", "fail")
of("an_attribute_of_the_configuration", "configured", "of its class")
of("a_class_returns", "of_a_class", "return", 1)
of("a_class_retries", "of_a_class", "retry")
of("a_class_exhausts", "of_a_class", "exhaust")
of("a_class_of_its_own", "of_a_class", "of its class")
of("an_argument_of_a_handler", "ignored", "use what a handler gave")
of("eta_as_text", "plain", "return", 1, eta=(datetime.now(UTC)).isoformat())
of("expires_as_text", "plain", "return", 1,
    expires=(datetime.now(UTC) + timedelta(hours=1)).isoformat())  # fmt: skip


@case
def what_a_path_has_changed(c: Caller) -> Any:
    """A list and a dict that the body changes; who runs the job again gets them as they were."""
    given = {"case": c.case, "do": "change what it got", "rows": [1, 2]}
    sent = c.tasks["plain"].apply_async(([],), given, task_id=c.new_id())
    c.sent()
    return c.outcome(sent)


@case
def by_name_and_keywords(c: Caller) -> Any:
    """A producer of another language gives names only."""
    given = {"x": 1, "y": 2, "case": c.case}
    sent = c.app.send_task("shop.add", kwargs=given, task_id=c.new_id())
    c.sent()
    return c.outcome(sent)


@case
def where_it_failed(c: Caller) -> Any:
    """The stored traceback ends in the body's own line."""
    sent = c.send("plain", do="fail")
    said = c.outcome(sent)
    return [said, str(sent.traceback).strip().splitlines()[-2:]]


@case
def object_as_the_worker_sees_it(c: Caller) -> Any:
    """A result that JSON cannot carry fails only where somebody keeps results."""
    sent = c.send("plain", do="object")
    c.wait_for_outcome()
    return sent.id


@case
def ignores(c: Caller) -> Any:
    """The state stays what the body made it."""
    sent = c.send("hooked", do="ignore")
    c.wait_for_notes("postrun")
    return c.state_of(sent, "PROGRESS")


@case
def arguments_are_checked(c: Caller) -> Any:
    """Wrong arguments raise at the caller, as the signature says."""
    return [
        c.raises(lambda: c.tasks["add"].delay()),
        c.raises(lambda: c.tasks["add"].delay(1, 2, 3)),
    ]


@case
def arguments_are_not_checked(c: Caller) -> Any:
    """`typing=False`: they fail in the worker."""
    return c.outcome(c.send("untyped", 1, 2, 3, do=None))


@case
def arguments_by_name_are_not_checked(c: Caller) -> Any:
    """`send_task` knows no signature."""
    sent = c.app.send_task("shop.add", (1, 2, 3), {"case": c.case}, task_id=c.new_id())
    c.sent()
    return c.outcome(sent)


@case
def by_name(c: Caller) -> Any:
    """A producer that has the name only."""
    sent = c.app.send_task("shop.plain", (1,), {"case": c.case}, task_id=c.new_id())
    c.sent()
    return c.outcome(sent)


@case
def models(c: Caller) -> Any:
    """A pydantic task takes a dict or a model and gives a dict."""
    given = ({"number": 1, "total": 2}, Order(number=2))
    return [c.outcome(c.send("order", one, do=None)) for one in given]


@case
def revoked_by_its_stamp(c: Caller) -> Any:
    """It does not run."""
    sig = c.tasks["plain"].signature((), {"case": c.case}, task_id=c.new_id(), countdown=REVOKED_S)
    sig.stamp(order="cancelled")
    sent = sig.apply_async()
    c.sent()
    sent.revoke_by_stamped_headers({"order": "cancelled"})
    return c.revoked(sent)


@case
def revoked_before_it_was_sent(c: Caller) -> Any:
    """Workers remember."""
    job_id = c.new_id()
    c.app.control.revoke(job_id, reply=True, limit=1, timeout=PATIENCE_S)
    sent = c.tasks["plain"].apply_async((), {"case": c.case}, task_id=job_id)
    c.sent()
    return c.revoked(sent)


@case
def aborted(c: Caller) -> Any:
    """`AbortableTask`: the body asks, and stops."""
    sent = c.send("abortable", do="abort")
    c.wait_for_notes("ran")
    sent.abort()
    c.wait_for_notes("success")
    return sent.state


@case
def beat(c: Caller) -> Any:
    """An entry of the schedule is sent by its task's name."""
    scheduler = Scheduler(c.app, schedule={}, lazy=True)
    entry = scheduler.Entry(
        name="each night", task="shop.plain", schedule=timedelta(days=1), args=(1,),
        kwargs={"case": c.case}, app=c.app,
        options={"task_id": c.new_id(), "expires": 300, "priority": 2},
    )  # fmt: skip
    sent = scheduler.apply_async(entry, advance=False)
    c.sent()
    return c.outcome(sent)


@case
def delayed_by_name_with_links(c: Caller) -> Any:
    """A producer that has names only, with all that follows a job."""
    follows = {"link": signature("shop.plain", ("link",), {"case": c.case}, immutable=True)}
    sent = c.app.send_task(
        "shop.plain", (1,), {"case": c.case}, task_id=c.new_id(), countdown=0.1,
        headers={"tenant": "acme"}, priority=5, **follows,
    )  # fmt: skip
    c.sent()
    said = c.outcome(sent)
    return [said, c.outcome(sent.children[0])]


@case
def revoked_while_waiting(c: Caller) -> Any:
    """It does not run."""
    sent = c.send("plain", do="return", countdown=REVOKED_S)
    c.app.control.revoke(sent.id)
    return c.revoked(sent)


@case
def revoked_while_running(c: Caller) -> Any:
    """It ends at once and runs nowhere else."""
    sent = c.send("plain", do="sleep", s=TOO_LONG_S)
    c.wait_for_notes("ran")
    sent.revoke(terminate=True, signal="SIGTERM")
    return c.revoked(sent)


@case
def expired(c: Caller) -> Any:
    """It does not run."""
    return c.revoked(c.send("plain", do="return", expires=datetime.now(UTC)))
