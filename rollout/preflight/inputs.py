"""What jobs were given, from lines that tell it.

    {"args": [1], "kwargs": {"month": "2026-11"}}            recorded inputs, JSON lines
    {"name": "shop.bill", "args": "(1,)", "kwargs": "{}"}    Celery's events: texts of Python values
    {"step": "shop.bill", "payload_bytes": 812}              the recorder: sizes alone
    worker1 [2026-11-02 ...] task received: shop.bill(4f2a-...) args=[1] kwargs={} ...
                                                             `celery events --dump`
    Task shop.bill[4f2a-...] received args: (1,) kwargs: {}  a worker log that prints them

Celery cuts the texts at 1,024 characters; what is cut counts as a job whose arguments nobody tells.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from rollout.preflight.arguments import HEADERS_BYTES
from rollout.preflight.facts import JobFact

_ARGS = re.compile(
    r"\bargs[:=] ?(?P<quote>['\"]?)(?P<args>[(\[].*?[)\]])(?P=quote),? ?kwargs[:=] ?"
)
_KWARGS = re.compile(r"(?P<quote>['\"]?)(?P<kwargs>\{.*?\})(?P=quote)(?:\s|,|$)")
_OBJECT = re.compile(r"<([\w.]+) object at ")
_CALL = re.compile(r"\b([A-Za-z_][\w.]*)\(")
_CARRIED = {
    "datetime.datetime", "datetime.date", "datetime.time", "Decimal", "UUID", "datetime.timezone",
}  # fmt: skip
"""Types whose text is no literal and that Celery's JSON carries all the same."""
CUT = "..."


class Cut(Exception):
    """A text that Celery has cut, or whose values JSON carries though no literal writes them."""


def read_inputs(name: str, task_name: str, lines: Iterable[str], file: str) -> Iterator[JobFact]:
    """Read the jobs of one task; lines of other tasks, and lines that tell nothing, are left out.

    Among recorded inputs, which are nothing but JSON objects, another line tells nothing of a job
    that was meant: it is given as one that cannot be read.

    Args:
        name: The sub-pipeline; JSON lines may name it in place of the task.
        task_name: The task.
        lines: Of one file.
        file: Its name, for places.
    """
    recorded = False
    for number, line in enumerate(lines, start=1):
        where = f"{file} line {number}"
        if line.lstrip()[:1] == "{":
            fact = _of_json(line, {name, task_name}, where)
            told = fact is not None and fact.arguments is not None
            recorded = recorded or (told and '"type"' not in line)  # events stand among other lines
        elif recorded and line.strip():
            fact = JobFact(where, unreadable="the line is no JSON object")
        elif "args" in line and task_name in line:
            fact = _of_text(line, task_name, where)
        else:
            continue
        if fact is not None:
            yield fact


def _of_json(line: str, names: set[str], where: str) -> JobFact | None:
    try:
        values = json.loads(line)
    except ValueError:
        return JobFact(where, unreadable="the line is no JSON")
    if not isinstance(values, dict):
        return JobFact(where, unreadable="the line is no JSON object")
    named = values.get("name") or values.get("task") or values.get("step")
    if named is not None and named not in names:
        return None
    if "args" not in values and "kwargs" not in values:
        size = values.get("payload_bytes")  # a line of `rollout.audit.record`
        return JobFact(where, size_bytes=size + HEADERS_BYTES) if isinstance(size, int) else None
    seconds = values.get("seconds", values.get("runtime"))
    took = float(seconds) if isinstance(seconds, int | float) else None
    return _fact(values.get("args", []), values.get("kwargs", {}), where, took)


def _of_text(line: str, task_name: str, where: str) -> JobFact | None:
    named = _of_task(task_name).search(line)
    if named is None:
        return None
    args = _ARGS.search(named["rest"])
    if args is None:
        return None
    kwargs = _KWARGS.match(named["rest"], args.end())
    return _fact(args["args"], kwargs["kwargs"] if kwargs else "{}", where, None)


@lru_cache(maxsize=16)
def _of_task(task_name: str) -> re.Pattern[str]:
    """Lines of a dump and of a worker log about one task; its name may have spaces and brackets."""
    name = re.escape(task_name)
    return re.compile(
        rf"(?:task (?:sent|received): {name}\([0-9a-fA-F-]{{8,}}\) "
        rf"|(?:Task |Received task: ){name}\[[^\]\s]+\](?: received)?)(?P<rest>.*)"
    )


def _fact(args: Any, kwargs: Any, where: str, seconds: float | None) -> JobFact | None:
    try:
        plain_args = _value(args)
        plain_kwargs = _value(kwargs)
    except Cut:
        return JobFact(where, seconds=seconds)
    except ValueError as error:
        return JobFact(where, seconds=seconds, unreadable=str(error))
    if not isinstance(plain_args, list | tuple) or not isinstance(plain_kwargs, Mapping):
        return JobFact(
            where, seconds=seconds, unreadable="args must be a list and kwargs an object"
        )
    return JobFact(where, tuple(plain_args), dict(plain_kwargs), seconds)


def _value(given: Any) -> Any:
    """A value, or the value of a Python text.

    Raises:
        Cut: The text has been cut, or holds a type that no literal can write and JSON carries.
        ValueError: It holds what JSON does not carry, named by its type and by nothing else.
    """
    if not isinstance(given, str):
        return given
    if given.endswith(CUT) or f"{CUT}'" in given:
        raise Cut
    try:
        return ast.literal_eval(given)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if match := _OBJECT.search(given):
        raise ValueError(f"an object of {match[1]}")
    calls = {match[1] for match in _CALL.finditer(given)}
    strange = sorted(calls - _CARRIED)
    if strange or not calls:
        raise ValueError(f"a value of {strange[0]}" if strange else "a value that is no literal")
    raise Cut
