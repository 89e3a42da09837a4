"""What the suite's tasks do: one body that does what it is told, and some with signatures."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import chain, chord, current_task, group
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from kombu.utils.json import register_type
from pydantic import BaseModel

from tests.celery_conformance.bases import FOLDER
from tests.celery_conformance.bodies_of_habits import act_by_habit
from tests.celery_conformance.notes import PATIENCE_S, note
from tests.celery_conformance.retried import note_mark, wait_for_mark


class Odd(Exception):  # as people write them
    """An error that cannot be pickled, with a constructor of its own."""

    def __init__(self, first: str, *, second: Any) -> None:
        self.second = second
        super().__init__(f"odd {first}")


class Stop(BaseException):
    """What `except Exception` does not catch, such as asyncio's CancelledError."""


@dataclass(frozen=True)
class Money:
    """A type that a project teaches Celery's JSON."""

    cents: int


register_type(Money, "money", lambda money: money.cents, Money)


class Order(BaseModel):
    """What a pydantic task takes and gives."""

    number: int
    total: float = 0


SEEN = (
    "retries", "root_id", "parent_id", "group", "group_index", "priority", "expires", "eta",
    "timelimit", "shadow", "origin", "reply_to", "correlation_id", "argsrepr", "kwargsrepr",
    "replaced_task_nesting", "ignore_result", "stamps", "stamped_headers", "headers",
    "called_directly", "is_eager", "chain", "callbacks", "errbacks", "chord", "lang", "task", "id",
    "args", "kwargs", "utc", "loglevel", "logfile", "taskset", "time_limit", "soft_time_limit",
    "compression",
)  # fmt: skip
"""Attributes of a request that a body may look at."""


def act(*args: Any, case: str = "", do: str = "return", **more: Any) -> Any:
    """Do what the word says."""
    task = current_task
    request, other = task.request, task.app.tasks["shop.other"]
    if do == "sort":  # a chord that has grown has no order
        args = tuple(sorted(args[0], key=repr))
    wait_for_mark(request)
    note(case, "ran", task.name, do, list(map(repr, args)), request.retries)
    match do:
        case "sort":
            return [*args]
        case "return":
            return [*args]
        case "tuple":
            return tuple(args)
        case "object":
            return object()
        case "fail":
            raise ValueError("no")
        case "exit":
            raise SystemExit(3)
        case "retry":
            if request.retries < 2:
                raise task.retry(countdown=0, exc=KeyError("again"))
            return ["retried", request.retries]
        case "retry with":
            if request.retries < 1:
                raise task.retry(args=("other",), countdown=0.1, priority=2)
            return [*args, request.retries]
        case "exhaust":
            raise task.retry(countdown=0, max_retries=1, exc=ValueError("still no"))
        case "auto" | "auto later":
            if request.retries < 2:
                raise KeyError("transient")
            return ["at", request.retries]
        case "auto exhaust":
            raise KeyError("permanent")
        case "retry quietly":
            if request.retries < 1:
                task.retry(countdown=0, throw=False)
                note_mark(request)  # Celery marks nothing here
                raise Ignore
            return ["retried", request.retries]
        case "retry at":
            if request.retries < 1:
                raise task.retry(eta=datetime.now(UTC) + timedelta(seconds=0.2))
            return request.retries
        case "retry marked":
            if request.retries < 1:
                raise task.retry(countdown=0, headers={"try": "second"}, shadow="a shadow")
            return [request.retries, (request.headers or {}).get("try"), request.shadow]
        case "retry with links":
            if request.retries < 1:
                raise task.retry(countdown=0)
            return "linked"
        case "catch":
            try:
                time.sleep(more.get("s", 5))
            except SoftTimeLimitExceeded:
                return "as far as it came"
            return "slept"
        case "odd error":
            raise Odd("one", second=threading.Lock())
        case "no exception":
            raise Stop("neither an error nor an exit")
        case "progress":
            task.update_state(state="PROGRESS", meta={"done": 1})
            task.send_event("task-progress", done=1)
            note(case, "meta", repr(task.AsyncResult(request.id).info))
            return "done"
        case "wait for a child":
            child = other.apply_async(args, {"case": case})
            return child.get(timeout=PATIENCE_S, disable_sync_subtasks=False)
        case "wait for itself":
            if args:
                return [*args]
            child = task.apply_async(("child",), {"case": case, "do": do})
            return child.get(timeout=PATIENCE_S, disable_sync_subtasks=False)
        case "wait in vain":
            child = other.apply_async(args, {"case": case})
            return child.get(timeout=PATIENCE_S)
        case "grow its chord":
            task.add_to_chord(other.s("grown", case=case))
            return "grew"
        case "replace chord":
            header = [other.s(n, case=case) for n in range(2)]
            raise task.replace(chord(header, other.s(case=case)))
        case "generate":
            return (n for n in range(2))
        case "abort":
            for _ in range(10 * PATIENCE_S):
                if task.is_aborted():
                    return "stopped when it was told"
                time.sleep(0.1)
            return "never told"
        case "queue":
            return request.delivery_info["routing_key"]
        case "kinds":
            return [[type(one).__name__ for one in args], *args]
        case "change what it got":
            said = repr([args, more["rows"]])
            args[0].append("changed")
            more["rows"].clear()
            return [said, args]
        case "use what a handler gave":
            return type(more["given"]).__name__
        case "break the chain":
            request.chain = None
            return "the last"
        case "priority":
            return request.delivery_info.get("priority")
        case "priority of a child":
            child = other.apply_async((), {"case": case, "do": "priority"})
            return child.get(timeout=PATIENCE_S, disable_sync_subtasks=False)
        case "of its class":
            return [task.greeting, task.name, task.max_retries]
        case "ignore":
            task.update_state(state="PROGRESS", meta={"half": 1})
            raise Ignore
        case "reject":
            raise Reject("not today", requeue=False)
        case "reject once":
            path = FOLDER / f"rejected-{case}"
            if not path.exists():
                path.touch()
                raise Reject("later", requeue=True)
            return "at last"
        case "replace":
            raise task.replace(other.s(*args, case=case))
        case "replace itself":
            return task.replace(task.s(*args, case=case))
        case "replace group":
            raise task.replace(group(other.s(n, case=case) for n in range(2)))
        case "replace chain":
            steps = chain(other.s(1, case=case), task.s(case=case))
            raise task.replace(steps)
        case "sleep":
            time.sleep(more.get("s", 5))
            return "slept"
        case "request":
            return _seen(request)
        case "inside":
            return task.__class__.inside
        case "child":
            child = other.apply_async(args, {"case": case}, headers=request.headers)
            return child.id == request.id
        case "self again":
            if request.retries == 0 and not args:
                task.apply_async(("again",), {"case": case}, headers=request.headers)
            return [*args]
    return act_by_habit(task, case, do, args, more)


def _seen(request: Any) -> dict[str, Any]:
    seen = {name: getattr(request, name, "absent") for name in SEEN}
    if request.delivery_info:
        seen["priority"] = request.delivery_info.get("priority")
    return {name: value for name, value in seen.items() if name != "origin"}


def act_bound(self: Any, *args: Any, case: str = "", do: str = "return", **more: Any) -> Any:
    """The same, of a bound task."""
    if do == "helper":
        note(case, "ran", self.name, do)
        return [self.helper(), type(self).__name__, self.request.id == current_task.request.id]
    return act(*args, case=case, do=do, **more)


def add(x: int, y: int = 0, *, case: str = "") -> int:
    """A body with a signature."""
    return x + y


def order(order: Order, case: str = "") -> Order:
    """A body of models."""
    return Order(number=order.number, total=order.total * 2)


def strict(order: Order, case: str = "") -> Order:
    """The same; its total is not shown."""
    return Order(number=order.number, total=7)


def picky(a: int, /, b: int = 2, *rest: int, c: int, case: str = "", **more: int) -> list[Any]:
    """Every kind of argument."""
    return [a, b, rest, c, more]


def one(task_id: str) -> None:
    """An errback that Celery sends as a task."""
    note(task_id.partition("/")[0], "errback one", type(task_id).__name__)


def three(request: Any, exc: Any, traceback: Any) -> None:
    """An errback that Celery calls in place."""
    case = (request.kwargs or {}).get("case") or request.id.partition("/")[0]
    note(case, "errback three", type(request).__name__, repr(exc))
