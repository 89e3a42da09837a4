"""More that bodies do, as strangers write them; `bodies.act` hands these words over."""

import enum
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

from celery import chain, group
from celery.exceptions import Retry
from celery.result import allow_join_result

from tests.celery_conformance.bases import FOLDER
from tests.celery_conformance.notes import note, wait_for_words
from tests.celery_conformance.retried import note_mark

Pair = namedtuple("Pair", ("left", "right"))  # as people write them


class Colour(enum.Enum):
    """What a body returns by mistake."""

    RED = 1


class Level(enum.IntEnum):
    """What JSON carries as a number."""

    HIGH = 3


@dataclass
class Total:
    """A result that Celery's JSON does not carry."""

    cents: int


class Refused(Exception):  # as people write them
    """An error of several arguments that pickles itself."""

    def __init__(self, number: int, why: str) -> None:
        self.number = number
        super().__init__(f"{number}: {why}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Refused, (self.number, "read back"))


def act_by_habit(task: Any, case: str, do: str, args: tuple[Any, ...], more: Any) -> Any:
    """Do what the word says."""
    request, other = task.request, task.app.tasks["shop.other"]
    given = {"case": case}
    match do:
        case "wait to be seen":
            task.update_state(state="PROGRESS", meta={"done": [1, "half"]})
            note(case, "working")
            wait_for_words(FOLDER, case, "go on")
            return "seen"
        case "how it came":
            info = request.delivery_info
            return [info["redelivered"], info["priority"], request.headers, request.is_eager]
        case "replace in a chain":
            raise task.replace(chain(other.s(args[0], **given), other.s("inner", **given)))
        case "replace by a chain of groups":
            members = group(other.s(n, **given) for n in range(2))
            raise task.replace(members | other.s(case=case))
        case "children":
            counted = other.apply_async(("counted",), given)
            other.apply_async(("not counted",), given, add_to_parent=False)
            task.app.send_task("shop.other", ("by name",), given)
            with allow_join_result():
                return counted.get(timeout=60)
        case "raise Retry":
            raise Retry("by hand")
        case "retry and return":
            if request.retries < 1:
                task.retry(countdown=1, throw=False)
                note_mark(request)  # Celery marks nothing here
                return "of the first"
            return "of the second"
        case "retry to a queue":
            if request.retries < 1:
                raise task.retry(countdown=0, queue="celery")
            return [request.retries, request.delivery_info["routing_key"]]
        case "retry with keywords":
            if request.retries < 1:
                raise task.retry(
                    kwargs={**given, "do": do, "second": True}, countdown=0, expires=300,
                    time_limit=90, soft_time_limit=80,
                )  # fmt: skip
            return [more, list(request.timelimit), bool(request.expires), [*args]]
        case "retry an error class":
            raise task.retry(exc=KeyError, countdown=0, max_retries=0)
        case "retry never":
            try:
                raise KeyError("once")
            except KeyError as error:
                raise task.retry(exc=error, countdown=0) from error
        case "cause":
            try:
                raise KeyError("cause")
            except KeyError as error:
                raise RuntimeError("effect", 2, {"of": "a cause"}) from error
        case "own reduce":
            raise Refused(7, "not today")
        case "group of errors":
            raise ExceptionGroup("several", [KeyError("a"), ValueError("b")])
        case "error with an object":
            raise RuntimeError(object)
        case "assert":
            assert not args, "an assertion"
            return []
        case "stop iteration":
            raise StopIteration("of a generator")
        case "dataclass":
            return Total(3)
        case "enum":
            return Colour.RED
        case "plain kinds":
            return [
                Pair(1, 2),
                Level.HIGH,
                {1: "int key", "n": None},
                float("inf"),
                "\ud7ff\x00",
                2**70,
            ]
        case "keep count":
            task.count = getattr(task, "count", 0) + 1
            return task.count > 0
        case "call itself":
            if not args[0]:
                return ["bottom", request.id]
            return [request.retries, task(args[0] - 1, case=case, do=do), request.id]
        case "own class":
            return [type(task).__mro__[-2].__name__, task.name, task.request.task, task.ready]
    raise AssertionError(do)
