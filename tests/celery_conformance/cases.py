"""The cases: what a caller does with a task, and what it gets."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import chain, chord, chunks, group, signature, xmap, xstarmap
from celery.beat import Scheduler
from celery.canvas import StampingVisitor
from celery.result import AsyncResult, ResultSet

from tests.celery_conformance.caller import Caller

Case = Callable[[Caller], Any]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Put a function into the table, under its name."""
    CASES[function.__name__] = function
    return function


def _of(name: str, task: str, do: str, *args: Any, **options: Any) -> None:
    def run(caller: Caller) -> Any:
        return caller.outcome(caller.send(task, *args, do=do, **options))

    CASES[name] = run


for _task in ("plain", "bound", "hooked", "called", "ignored", "storing", "tracked", "rated"):
    _of(f"{_task}_returns", _task, "return", 1, "two")
    _of(f"{_task}_fails", _task, "fail")
_of("plain_tuple", "plain", "tuple", 1, 2)
_of("object_is_no_result", "plain", "object")
_of("object_nobody_wants", "ignored", "object")
_of("retries", "hooked", "retry", "a")
_of("retries_with_other_arguments", "hooked", "retry with", "a", priority=3)
_of("retries_exhausted", "hooked", "exhaust")
_of("autoretry", "auto", "auto")
_of("autoretry_when_the_other_path_has_used_its_own", "auto", "auto later")
_of("autoretry_exhausted", "auto", "auto exhaust")
_of("autoretry_not_for", "auto", "fail")
_of("rejects", "plain", "reject")
_of("rejects_and_requeues", "late", "reject once")
_of("replaced", "hooked", "replace", 7)
_of("replaced_by_itself", "hooked", "replace itself", 7)
_of("replaced_by_a_group", "hooked", "replace group")
_of("replaced_by_a_chain", "plain", "replace chain")
_of("exits", "plain", "exit")
_of("helper_of_the_base", "hooked", "helper")
_of("in_the_context_of_its_call", "called", "inside")
_of("request_attributes", "plain", "request")
_of("request_attributes_bound", "bound", "request")
_of("task_options_on_the_message", "carried", "request")
_of("caller_options_on_the_message", "plain", "request", expires=300, priority=5,
    time_limit=200, soft_time_limit=100, shadow="another name", argsrepr="hidden",
    kwargsrepr="hidden too", headers={"tenant": "acme"}, reply_to="someone", root_id="root",
    parent_id="parent", compression="zlib", ignore_result=False)  # fmt: skip
_of("forwards_its_headers", "plain", "child", headers={"tenant": "acme"})
_of("sends_itself_with_its_headers", "plain", "self again", headers={"tenant": "acme"})
_of("a_base_that_locks", "refusing", "return", 1)
_of("soft_limit", "soft", "sleep", s=4)
_of("hard_limit", "hard", "sleep", s=5)
_of("hard_limit_of_the_caller", "plain", "sleep", s=5, time_limit=1)
_of("countdown", "plain", "return", 1, countdown=0.3)
_of("eta", "plain", "return", 1, eta=datetime.now(UTC) + timedelta(seconds=0.3))
_of("eta_without_a_zone", "plain", "return", 1, eta=datetime.now(UTC).replace(tzinfo=None))
_of("expires_in_seconds", "plain", "return", 1, expires=300)
_of("expires_without_a_zone", "plain", "return", 1,
    expires=datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1))  # fmt: skip
_of("retries_without_raising", "hooked", "retry quietly")
_of("retries_at_a_time", "hooked", "retry at")
_of("retries_with_options", "hooked", "retry marked", headers={"tenant": "acme"})
_of("retries_after_a_countdown", "hooked", "retry", countdown=0.2)
_of("retries_for_ever", "backing_off", "auto")
_of("retries_as_annotated", "annotated", "exhaust")
_of("soft_limit_that_is_caught", "soft", "catch", s=4)
_of("an_error_that_cannot_be_pickled", "hooked", "odd error")
_of("no_exception_but_raised", "plain", "no exception")
_of("tells_its_progress", "hooked", "progress")
_of("waits_for_a_child", "plain", "wait for a child", 1)
_of("waits_for_its_own_kind", "plain", "wait for itself")
_of("waits_for_a_child_against_the_rule", "plain", "wait in vain", 1)
_of("replaced_by_a_chord", "plain", "replace chord")
_of("gives_a_generator", "plain", "generate")
_of("inherited_returns", "inherited", "return", 1)
_of("inherited_helper", "inherited", "helper")
_of("inherited_exhausts", "inherited", "exhaust")
_of("a_header_of_the_base", "decorated", "request")
_of("the_queue_that_it_came_by", "plain", "queue")
_of("a_queue_of_the_caller", "plain", "queue", queue="celery")
_of("no_result_wanted", "plain", "return", 1, ignore_result=True)
_of("failure_not_acknowledged", "unacked", "fail")


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
    from tests.celery_conformance.shop import Order

    given = ({"number": 1, "total": 2}, Order(number=2))
    return [c.outcome(c.send("order", one, do=None)) for one in given]


@case
def links(c: Caller) -> Any:
    """A link gets the result."""
    link = c.tasks["plain"].s("linked", case=c.case)
    first = c.send("plain", 1, do="return", link=link)
    said = c.outcome(first)
    return [said, c.outcome(first.children[0]) if first.children else "no child"]


@case
def a_link_that_is_the_task(c: Caller) -> Any:
    """`link=` takes a signature of a task without arguments."""
    first = c.send("plain", 1, do="return", link=[c.tasks["add"].si(1, y=2, case=c.case)])
    return [c.outcome(first), c.outcome(first.children[0])]


@case
def errbacks(c: Caller) -> Any:
    """One argument: sent as a task; three: called in place."""
    sent = [c.send("plain", do="fail", link_error=c.tasks[name].s()) for name in ("one", "three")]
    said = [c.outcome(one) for one in sent]
    c.wait_for_notes("errback one", "errback three")
    return said


@case
def chains(c: Caller) -> Any:
    """Each step gets the result of the one before."""
    plain = c.tasks["plain"]
    steps = [plain.s(n, case=c.case) for n in range(3)]
    sent = chain(*steps).apply_async()
    c.sent()
    return [c.outcome(sent), c.outcome(sent.parent), sent.parent.parent is not None]


@case
def groups(c: Caller) -> Any:
    """All of them, in order."""
    sent = group(c.tasks["plain"].s(n, case=c.case) for n in range(5)).apply_async()
    c.sent()
    return c.outcome(sent)


@case
def chords(c: Caller) -> Any:
    """The body gets all results."""
    plain = c.tasks["plain"]
    sent = chord((plain.s(n, case=c.case) for n in range(3)), plain.s(case=c.case))()
    c.sent()
    return c.outcome(sent)


@case
def a_chord_with_an_error(c: Caller) -> Any:
    """The body is not called; its errback is."""
    plain = c.tasks["plain"]
    body = plain.s(case=c.case).on_error(c.tasks["three"].s())
    header = [plain.s(1, case=c.case), plain.s(case=c.case, do="fail")]
    sent = chord(header)(body)
    c.sent()
    return c.outcome(sent)[0]


@case
def a_chain_into_a_group_and_back(c: Caller) -> Any:
    """Canvas of canvas."""
    plain = c.tasks["plain"]
    sent = (
        plain.s(1, case=c.case)
        | group(plain.s(n, case=c.case) for n in range(2))
        | plain.s(case=c.case)
    ).apply_async()
    c.sent()
    return c.outcome(sent)


@case
def maps(c: Caller) -> Any:
    """The task is called many times inside one other."""
    add = c.tasks["add"]
    return [
        c.outcome(sent)
        for sent in (
            add.map(range(3)).apply_async(),
            add.starmap([(1, 1), (2, 2)]).apply_async(),
            add.chunks([(n, n) for n in range(6)], 3).group().apply_async(),
            xmap(add.s(), [1]).apply_async(),
            xstarmap(add.s(), [(1, 2)]).apply_async(),
            chunks(add.s(), [(1, 2)], 1).apply_async(),
        )
    ]


@case
def signatures(c: Caller) -> Any:
    """Made, cloned, immutable, by name, from a dict."""
    add = c.tasks["add"]
    made = [
        add.s(1, case=c.case),
        add.si(1, case=c.case),
        add.signature((1,), {"case": c.case}),
        add.subtask((1,), {"case": c.case}),
        signature("shop.add", (1,), {"case": c.case}, app=c.app),
        signature(dict(add.s(1, case=c.case)), app=c.app),
        add.s(case=c.case).clone((1,)),
    ]
    said = []
    for one in made:
        sent = one.apply_async()
        c.sent()
        said.append([one.task, one.immutable, c.outcome(sent)])
    return said


@case
def stamps(c: Caller) -> Any:
    """A stamp travels with the message."""
    sig = c.tasks["plain"].signature((), {"case": c.case, "do": "request"})
    sig.stamp(customer="acme")
    sent = sig.apply_async()
    c.sent()
    said = c.outcome(sent)
    return {name: said[1][name] for name in ("stamps", "stamped_headers")}


@case
def links_and_errbacks_of_a_chain(c: Caller) -> Any:
    """A chain that ends, and one that breaks in its middle."""
    plain, given = c.tasks["plain"], {"case": c.case}
    whole = chain(plain.s(1, **given), plain.s(**given)).apply_async(link=plain.si("link", **given))
    c.sent()
    errback = c.tasks["three"].s()
    middle = plain.s(do="fail", **given)
    broken = chain(plain.s(2, **given), middle, plain.s(3, **given)).apply_async(link_error=errback)
    said = [c.outcome(whole), c.outcome(broken)[:2]]
    c.wait_for_notes("errback three")
    return [*said, broken.parent.state]


@case
def an_errback_of_a_group(c: Caller) -> Any:
    """Each member that fails calls it."""
    plain, given = c.tasks["plain"], {"case": c.case}
    members = group(plain.s(1, **given), plain.s(do="fail", **given))
    members.link_error(c.tasks["one"].si(f"{c.case}/member"))
    sent = members.apply_async()
    c.sent()
    said = [c.outcome(member)[:2] for member in sent.children]
    c.wait_for_notes("errback one")
    return [said, sent.completed_count(), sent.failed()]


@case
def a_link_with_options(c: Caller) -> Any:
    """A signature carries its own options; an immutable one takes no result."""
    plain = c.tasks["plain"]
    link = plain.signature(("link",), {"case": c.case}, immutable=True, countdown=0.1, priority=2)
    first = c.send("plain", 1, do="return", link=link)
    said = c.outcome(first)
    return [said, c.outcome(first.children[0])]


@case
def a_chord_that_grows(c: Caller) -> Any:
    """`add_to_chord` from the header."""
    plain, given = c.tasks["plain"], {"case": c.case}
    header = [plain.s(1, **given), plain.s(do="grow its chord", **given)]
    sent = chord(header)(plain.s(do="sort", **given))
    c.sent()
    return c.outcome(sent)


@case
def stamps_by_a_visitor(c: Caller) -> Any:
    """Every step of a chain gets its stamp."""
    plain = c.tasks["plain"]
    steps = chain(plain.s(1, case=c.case), plain.s(case=c.case, do="request"))
    steps.stamp(visitor=Numbered())
    sent = steps.apply_async()
    c.sent()
    said = c.outcome(sent)
    return {name: said[1][name] for name in ("stamps", "stamped_headers")}


class Numbered(StampingVisitor):  # type: ignore[misc]  # Celery has no types
    """Stamps what it meets."""

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """Its customer."""
        return {"customer": "acme", "stamped_headers": ["customer"]}


@case
def revoked_by_its_stamp(c: Caller) -> Any:
    """It does not run."""
    sig = c.tasks["plain"].signature((), {"case": c.case}, task_id=c.new_id(), countdown=5)
    sig.stamp(order="cancelled")
    sent = sig.apply_async()
    c.sent()
    sent.revoke_by_stamped_headers({"order": "cancelled"})
    return c.revoked(sent)


@case
def revoked_before_it_was_sent(c: Caller) -> Any:
    """Workers remember."""
    job_id = c.new_id()
    c.app.control.revoke(job_id)
    time.sleep(0.5)
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
        options={"task_id": c.new_id(), "expires": 60, "priority": 2},
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
    sent = c.send("plain", do="return", countdown=5)
    c.app.control.revoke(sent.id)
    return c.revoked(sent)


@case
def revoked_while_running(c: Caller) -> Any:
    """It ends at once and runs nowhere else."""
    sent = c.send("plain", do="sleep", s=20)
    c.wait_for_notes("ran")
    sent.revoke(terminate=True, signal="SIGTERM")
    return c.revoked(sent)


@case
def expired(c: Caller) -> Any:
    """It does not run."""
    return c.revoked(c.send("plain", do="return", expires=datetime.now(UTC)))


@case
def results(c: Caller) -> Any:
    """Every way to ask for one."""
    sent = c.send("plain", 1, do="return")
    said = c.outcome(sent)
    by_id = AsyncResult(sent.id, app=c.app)
    by_task = c.tasks["plain"].AsyncResult(sent.id)
    called: list[str] = []
    list(sent.collect())
    sent.then(lambda result: called.append(result.state))
    said += [sent.get(timeout=5, callback=lambda *_: called.append("callback")), called]
    several = ResultSet([sent, by_id])
    said += [several.join(timeout=5), several.successful(), sent.ready(), by_id == sent]
    return [said, by_id.result, by_task.state, sent.name, sent.retries, sent.queue is not None]


@case
def attributes(c: Caller) -> Any:
    """What a task says of itself."""
    said = {}
    for name in c.tasks:
        made = c.app.tasks[f"shop.{name}"]
        said[name] = {
            attribute: repr(getattr(made, attribute, "absent"))
            for attribute in dir(made)
            if not attribute.startswith("_")
            and not callable(getattr(made, attribute, None))
            and attribute not in ("app", "pipeline", "backend", "request", "request_stack")
        }
    return said


@case
def looks(c: Caller) -> Any:
    """What `inspect`, `help` and Celery's checks see."""
    import inspect

    said = {}
    for name, given in c.tasks.items():
        task = c.app.tasks[f"shop.{name}"]
        said[name] = [
            given.name,
            task.name,
            task.__doc__,
            str(inspect.signature(task.run)),
            str(inspect.signature(task.__header__)),
        ]
    return said


@case
def unit_tests(c: Caller) -> Any:
    """`apply` in a test: no server is asked."""
    plain, auto = c.tasks["plain"], c.tasks["auto"]
    given = {"case": c.case}
    said = [
        plain.apply((1,), given),
        plain.apply((), {**given, "do": "fail"}),
        plain.apply((), {**given, "do": "retry"}),
        auto.apply((), {**given, "do": "auto"}),
        auto.apply((), {**given, "do": "auto exhaust"}),
        plain.apply((), {**given, "do": "ignore"}),
        c.tasks["hooked"].apply((), {**given, "do": "helper"}),
        c.tasks["order"].apply(({"number": 1},), given),
    ]
    return [[one.state, repr(one.result)[:80]] for one in said]
