"""The tasks of the suite, on bare Celery or behind rollout, as the environment says.

CONFORMANCE_MODE is one of `modes.MODES`, CONFORMANCE_FOLDER holds what all processes write.
"""

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery import Celery, Task, chain, chord, current_task, group, signals
from celery.contrib.abortable import AbortableTask
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from rollout.pipeline import SubPipeline
from tests.celery_conformance.notes import note

MODE = os.environ.get("CONFORMANCE_MODE", "bare")
FOLDER = Path(os.environ.get("CONFORMANCE_FOLDER", "."))
BROKER = os.environ.get("CONFORMANCE_BROKER", "memory://")
BACKEND = os.environ.get("CONFORMANCE_BACKEND", "cache+memory://")

app = Celery("shop", broker=BROKER, backend=BACKEND)
app.conf.update(
    worker_prefetch_multiplier=4,
    task_publish_retry=False,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    result_extended=True,
    broker_transport_options={"visibility_timeout": 30},
    task_send_sent_event=True,
    task_annotations={"shop.annotated": {"max_retries": 1, "rate_limit": "900/s"}},
)
app.conf.update(json.loads(os.environ.get("CONFORMANCE_SETTINGS", "{}")))


class Hooked(Task):  # type: ignore[misc]  # Celery has no types
    """A base with every hook, and a helper."""

    abstract = True

    def helper(self) -> str:
        """What bodies of such a task call."""
        return f"help of {self.name}"

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
        """Note it."""
        note(kwargs, "before_start", self.name)

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        """Note it."""
        note(kwargs, "on_success", self.name, repr(retval))

    def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Note it."""
        note(kwargs, "on_retry", self.name, repr(exc))

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Note it."""
        note(kwargs, "on_failure", self.name, repr(exc))

    def after_return(
        self, status: str, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Note it."""
        note(kwargs, "after_return", self.name, status)

    def on_replace(self, sig: Any) -> Any:
        """Note it."""
        note(self.request.kwargs, "on_replace", self.name)
        return super().on_replace(sig)


class Called(Task):  # type: ignore[misc]  # Celery has no types
    """Flask's own recipe: the body runs inside a context."""

    abstract = True
    inside = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Open the context around the body."""
        type(self).inside = True
        try:
            return self.run(*args, **kwargs)
        finally:
            type(self).inside = False


class Refusing(Task):  # type: ignore[misc]  # Celery has no types
    """A base whose `apply_async` lets a job in once, as locks such as celery-once do."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Refuse the second."""
        case = (kwargs or {}).get("case")
        path = FOLDER / f"lock-{case}"
        if path.exists():
            raise RuntimeError("already queued")
        path.touch()
        return super().apply_async(args, kwargs, **options)


class Odd(Exception):  # as people write them
    """An error that cannot be pickled, with a constructor of its own."""

    def __init__(self, first: str, *, second: Any) -> None:
        self.second = second
        super().__init__(f"odd {first}")


class Stop(BaseException):
    """What `except Exception` does not catch, such as asyncio's CancelledError."""


class Inherited(Hooked):
    """A class below a class, with an own form of a hook and of a helper."""

    abstract = True
    max_retries = 1
    greeting = "good morning"

    def helper(self) -> str:
        """Of both."""
        return f"{self.greeting}, {super().helper()}"

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        """Before the base's."""
        note(kwargs, "on_success of its own", self.name)
        super().on_success(retval, task_id, args, kwargs)


class Decorated(Task):  # type: ignore[misc]  # Celery has no types
    """A base that puts a header on what is sent, and calls the body by Celery's own `__call__`."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send it with a tenant, as packages for tenants do."""
        options["headers"] = {**(options.get("headers") or {}), "tenant": "of the base"}
        return super().apply_async(args, kwargs, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Around the body."""
        note(kwargs, "called", self.name)
        return super().__call__(*args, **kwargs)


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
    request = task.request
    if do == "sort":  # a chord that has grown has no order
        args = tuple(sorted(args[0], key=repr))
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
            child = plain_other.apply_async(args, {"case": case})
            return child.get(timeout=20, disable_sync_subtasks=False)
        case "wait for itself":
            if args:
                return [*args]
            child = task.apply_async(("child",), {"case": case, "do": do})
            return child.get(timeout=20, disable_sync_subtasks=False)
        case "wait in vain":
            child = plain_other.apply_async(args, {"case": case})
            return child.get(timeout=20)
        case "grow its chord":
            task.add_to_chord(plain_other.s("grown", case=case))
            return "grew"
        case "replace chord":
            header = [plain_other.s(n, case=case) for n in range(2)]
            raise task.replace(chord(header, plain_other.s(case=case)))
        case "generate":
            return (n for n in range(2))
        case "abort":
            for _ in range(100):
                if task.is_aborted():
                    return "stopped when it was told"
                time.sleep(0.1)
            return "never told"
        case "queue":
            return request.delivery_info["routing_key"]
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
            raise task.replace(plain_other.s(*args, case=case))
        case "replace itself":
            return task.replace(task.s(*args, case=case))
        case "replace group":
            raise task.replace(group(plain_other.s(n, case=case) for n in range(2)))
        case "replace chain":
            steps = chain(plain_other.s(1, case=case), task.s(case=case))
            raise task.replace(steps)
        case "sleep":
            time.sleep(more.get("s", 5))
            return "slept"
        case "request":
            return _seen(request)
        case "inside":
            return task.__class__.inside
        case "child":
            child = plain_other.apply_async(args, {"case": case}, headers=request.headers)
            return child.id == request.id
        case "self again":
            if request.retries == 0 and not args:
                task.apply_async(("again",), {"case": case}, headers=request.headers)
            return [*args]
    raise AssertionError(do)


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


def one(task_id: str) -> None:
    """An errback that Celery sends as a task."""
    note(task_id.partition("/")[0], "errback one", type(task_id).__name__)


def three(request: Any, exc: Any, traceback: Any) -> None:
    """An errback that Celery calls in place."""
    case = (request.kwargs or {}).get("case") or request.id.partition("/")[0]
    note(case, "errback three", type(request).__name__, repr(exc))


BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (act, {}),
    "bound": (act_bound, {"bind": True}),
    "hooked": (act_bound, {"base": Hooked, "bind": True, "max_retries": 2}),
    "called": (act, {"base": Called}),
    "refusing": (act, {"base": Refusing}),
    "auto": (
        act,
        {
            "autoretry_for": (KeyError,),
            "dont_autoretry_for": (ValueError,),
            "retry_kwargs": {"countdown": 0},
            "retry_backoff": False,
            "retry_backoff_max": 5,
            "retry_jitter": False,
            "max_retries": 2,
            "default_retry_delay": 0,
        },
    ),
    "ignored": (act, {"ignore_result": True}),
    "storing": (act, {"ignore_result": True, "store_errors_even_if_ignored": True}),
    "add": (add, {}),
    "untyped": (add, {"typing": False}),
    "order": (order, {"pydantic": True}),
    "one": (one, {}),
    "three": (three, {}),
    "tracked": (act, {"track_started": True, "throws": (ValueError,), "trail": False}),
    "carried": (
        act,
        {
            "priority": 3,
            "expires": 600,
            "compression": "gzip",
            "time_limit": 500,
            "soft_time_limit": 400,
            "delivery_mode": 2,
            "shadow_name": lambda *a: "a shadow",
        },
    ),
    "soft": (act, {"soft_time_limit": 1}),
    "hard": (act, {"time_limit": 1}),
    "late": (act, {"acks_late": True}),
    "rated": (act, {"rate_limit": "1000/s", "send_events": False, "resultrepr_maxsize": 8}),
    "unacked": (act, {"acks_on_failure_or_timeout": False}),
    "inherited": (act_bound, {"base": Inherited, "bind": True, "greeting": "good evening"}),
    "decorated": (act, {"base": Decorated}),
    "annotated": (act, {"max_retries": 7}),
    "abortable": (act_bound, {"base": AbortableTask, "bind": True}),
    "backing_off": (
        act,
        {
            "autoretry_for": (KeyError,),
            "retry_backoff": 0.1,
            "retry_jitter": True,
            "max_retries": None,
        },
    ),
}


def fails_first(body: Any) -> Any:
    """A concurrent path that is broken."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        case = _case(args, kwargs)
        watched = current_task.request.id.startswith(f"{case}/")  # its events tell their case
        note(case, "fell", current_task.name, watched)
        if kwargs.get("do") == "auto later":
            raise KeyError("tried again by Celery, until there are no more retries")
        raise RuntimeError("the new path is broken")

    broken.__signature__ = __import__("inspect").signature(body)  # type: ignore[attr-defined]
    return broken


def same(body: Any) -> Any:
    """A concurrent path that does what legacy does."""

    def concurrent(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    concurrent.__signature__ = __import__("inspect").signature(body)  # type: ignore[attr-defined]
    return concurrent


def _case(args: Any, kwargs: Any) -> str:
    first = args[0] if args else ""
    given = kwargs.get("case") or (current_task.request.kwargs or {}).get("case")
    return str(given or getattr(first, "id", first)).partition("/")[0]


def declare(name: str) -> Any:
    """One task, on bare Celery or behind rollout."""
    body, options = BODIES[name]
    if MODE == "bare":
        return app.task(body, name=f"shop.{name}", shared=False, **options)
    made = SubPipeline(
        name, app=app, effects="none", task_name=f"shop.{name}", holdback_bp=0, **options
    )
    made.legacy(body)
    made.concurrent(fails_first(body) if MODE == "fallback" else same(body))
    return made


tasks = {name: declare(name) for name in BODIES}
plain_other = app.task(act, name="shop.other", shared=False)


def _prerun(task: Any, kwargs: Any, **_: Any) -> None:
    note(kwargs, "prerun", task.name)


def _postrun(task: Any, kwargs: Any, state: Any, **_: Any) -> None:
    note(kwargs, "postrun", task.name, state)


def _success(sender: Any, result: Any, **_: Any) -> None:
    said = "an object" if type(result) is object else repr(result)
    if "case" in str(sender.request.kwargs):
        note(sender.request.kwargs, "success", sender.name, said[:12])


def _failure(sender: Any, exception: Any, kwargs: Any, **_: Any) -> None:
    note(kwargs, "failure", sender.name, repr(exception)[:60])


def _retry(sender: Any, request: Any, reason: Any = None, **_: Any) -> None:
    note(request.kwargs, "retry", sender.name)


def _revoked(sender: Any, request: Any, expired: bool, terminated: bool, **_: Any) -> None:
    note(request.kwargs, "revoked", sender.name, expired, terminated)


def _publish(sender: Any, headers: Any, body: Any, **_: Any) -> None:
    headers.setdefault("tenant", os.environ.get("TENANT", "nobody"))
    note(body[1], "publish", sender, headers.get("retries"))


for _signal, _receiver in (
    (signals.task_prerun, _prerun),
    (signals.task_postrun, _postrun),
    (signals.task_success, _success),
    (signals.task_failure, _failure),
    (signals.task_retry, _retry),
    (signals.task_revoked, _revoked),
    (signals.before_task_publish, _publish),
):
    _signal.connect(_receiver, weak=False)
