"""The tasks of the suite, on bare Celery or behind rollout, as the environment says.

CONFORMANCE_MODE is one of `modes.MODES`, CONFORMANCE_FOLDER holds what all processes write.
"""

import inspect
import json
import os
from typing import Any

from celery import Celery, current_task, signals
from celery.contrib.abortable import AbortableTask
from kombu.serialization import register
from kombu.utils.json import dumps, loads

from rollout.pipeline import SubPipeline
from tests.celery_conformance.bases import (
    Called,
    Configured,
    Decorated,
    Hooked,
    Inherited,
    OfAClass,
    Refusing,
    Stateful,
    noted_failure,
)
from tests.celery_conformance.bodies import act, act_bound, add, one, order, picky, strict, three
from tests.celery_conformance.notes import note
from tests.celery_conformance.retried import note_mark, wait_for_mark

MODE = os.environ.get("CONFORMANCE_MODE", "bare")
BROKER = os.environ.get("CONFORMANCE_BROKER", "memory://")
BACKEND = os.environ.get("CONFORMANCE_BACKEND", "cache+memory://")


def route(name: str, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
    """A router of the app: it has something to say of one task."""
    return {"priority": 7} if name == "shop.routed" else None


register(
    "shouted",
    lambda said: f"HEAR: {dumps(said)}",
    lambda text: loads(text[len("HEAR: ") :]),
    content_type="application/x-shouted",
    content_encoding="utf-8",
)
app = Celery("shop", broker=BROKER, backend=BACKEND)
app.conf.update(
    worker_prefetch_multiplier=4,
    task_publish_retry=False,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    result_extended=True,
    broker_transport_options={"visibility_timeout": 900},
    task_send_sent_event=True,
    task_annotations={
        "shop.annotated": {"max_retries": 1, "rate_limit": "900/s", "on_failure": noted_failure}
    },
    task_routes=(route,),
    task_inherit_parent_priority=True,
    shop_greeting="hello",
    accept_content=["json", "shouted"],
)
app.conf.update(json.loads(os.environ.get("CONFORMANCE_SETTINGS", "{}")))


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
    "soft": (act, {"soft_time_limit": 4}),
    "hard": (act, {"time_limit": 6}),
    "late": (act, {"acks_late": True}),
    "rated": (act, {"rate_limit": "1000/s", "send_events": False, "resultrepr_maxsize": 8}),
    "unacked": (act, {"acks_on_failure_or_timeout": False}),
    "inherited": (act_bound, {"base": Inherited, "bind": True, "greeting": "good evening"}),
    "decorated": (act, {"base": Decorated}),
    "annotated": (act, {"max_retries": 7}),
    "abortable": (act_bound, {"base": AbortableTask, "bind": True}),
    "routed": (act, {}),
    "configured": (act, {"base": Configured}),
    "of_a_class": (OfAClass.run, {"base": OfAClass, "bind": True}),
    "once": (act, {"max_retries": 0}),
    "stateful": (act_bound, {"base": Stateful, "bind": True}),
    "watched": (act, {"Request": "tests.celery_conformance.bases:Watched"}),
    "remote": (act, {}),
    "strict": (
        strict,
        {
            "pydantic": True,
            "pydantic_strict": True,
            "pydantic_context": {"of": "the project"},
            "pydantic_dump_kwargs": {"exclude": {"total"}},
        },
    ),
    "picky": (picky, {}),
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
        request = current_task.request
        wait_for_mark(request)
        if len(current_task.request_stack) == 1:  # a delivery, and no call inside of one
            note(case, "fell", current_task.name, str(request.id).startswith(f"{case}/"))
        match kwargs.get("do"):
            case "auto later":
                raise KeyError("tried again by Celery, until there are no more retries")
            case "change what it got":
                args[0].append("changed by the new path")
                kwargs["rows"].clear()
            case "break the chain":
                current_task.request.chain = None
        raise RuntimeError("the new path is broken")

    broken.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
    return broken


def same(body: Any) -> Any:
    """A concurrent path that does what legacy does."""

    def concurrent(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    concurrent.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
    return concurrent


def _case(args: Any, kwargs: Any) -> str:
    first = args[0] if args else ""
    given = kwargs.get("case") or (current_task.request.kwargs or {}).get("case")
    return str(given or getattr(first, "id", first)).partition("/")[0]


def declare(name: str) -> Any:
    """One task, on bare Celery or behind rollout."""
    body, options = BODIES[name]
    if MODE == "bare" and options.get("base") is OfAClass:
        return app.register_task(OfAClass())
    if MODE == "bare":
        return app.task(body, name=f"shop.{name}", shared=False, **options)
    made = SubPipeline(
        name, app=app, effects="none", task_name=f"shop.{name}", holdback_bp=0, **options
    )
    made.legacy(body)
    made.concurrent(fails_first(body) if MODE == "fallback" else same(body))
    return made


tasks = {name: declare(name) for name in BODIES}
app.task(act, name="shop.other", shared=False)


class Session:
    """What a handler opens for a job, and JSON cannot carry."""


def _prerun(task: Any, kwargs: Any, **_: Any) -> None:
    if kwargs.get("do") == "use what a handler gave":
        kwargs["given"] = Session()
    note(kwargs, "prerun", task.name)


def _postrun(task: Any, kwargs: Any, state: Any, **_: Any) -> None:
    note(kwargs, "postrun", task.name, state)


def _success(sender: Any, result: Any, **_: Any) -> None:
    said = "an object" if type(result) is object else repr(result)
    if "case" in str(sender.request.kwargs):
        note(sender.request.kwargs, "success", sender.name, said[:12])


def _success_of_bound(sender: Any, **_: Any) -> None:
    note(sender.request.kwargs, "success of the one that was named", sender == tasks["bound"])


def _failure_of_bound(sender: Any, kwargs: Any, **_: Any) -> None:
    note(kwargs, "failure of the one that was named", {tasks["bound"]: "known"}.get(sender))


def _failure(sender: Any, exception: Any, kwargs: Any, **_: Any) -> None:
    note(kwargs, "failure", sender.name, repr(exception)[:60])


def _retry(sender: Any, request: Any, reason: Any = None, **_: Any) -> None:
    note_mark(request)
    note(request.kwargs, "retry", sender.name)


def _revoked(sender: Any, request: Any, expired: bool, terminated: bool, **_: Any) -> None:
    note(request.kwargs, "revoked", sender.name, expired, terminated)


def _publish(sender: Any, headers: Any, body: Any, properties: Any, **_: Any) -> None:
    if headers.get("change") == "it":
        body[0][0:1] = ["as the handler made it"]
        headers["shadow"] = "by a handler"
        properties["priority"] = 8
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


def _given_to(signal: str) -> Any:
    """A handler that notes what it is given: names and kinds, of the second run only."""

    def handler(sender: Any = None, **given: Any) -> None:
        request: Any = given.get("request") or getattr(sender, "request", None)
        kwargs = given["body"][1] if "body" in given else getattr(request, "kwargs", None) or {}
        retries = given["headers"]["retries"] if "headers" in given else request.retries
        if kwargs.get("case") == "what_signals_are_given" and retries == (signal != "retry"):
            kinds = {name: type(value).__name__ for name, value in given.items()}
            note(kwargs, f"given to {signal}", str(getattr(sender, "name", sender)), kinds)

    return handler


for _signal, _name in (
    (signals.task_prerun, "prerun"),
    (signals.task_postrun, "postrun"),
    (signals.task_success, "success"),
    (signals.task_retry, "retry"),
    (signals.before_task_publish, "publish"),
    (signals.after_task_publish, "published"),
):
    _signal.connect(_given_to(_name), weak=False)
signals.task_success.connect(_success_of_bound, sender=tasks["bound"], weak=False)
signals.task_failure.connect(_failure_of_bound, sender=tasks["bound"], weak=False)
