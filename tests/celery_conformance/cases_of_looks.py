"""Cases of what others see of a task and of a result."""

from typing import Any

from celery.result import AsyncResult, ResultSet

from tests.celery_conformance.caller import Caller
from tests.celery_conformance.table import case


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
            and attribute not in ("app", "rollout", "backend", "request", "request_stack")
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
            str(inspect.signature(getattr(task, "__header__", task.run))),  # none of a class
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
