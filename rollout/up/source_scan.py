"""Reads the source of a task and of what it calls in its own package."""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from rollout.preflight.facts import ScannedSource, Wait
from rollout.preflight.waits import waits_in

DEPTH_MAX = 4
"""How far calls are followed."""
FUNCTIONS_MAX = 200


def scan(functions: Sequence[Any]) -> ScannedSource:
    """Look for waits in functions and in what they call, as far as names can be followed."""
    waits: list[Wait] = []
    unread: list[str] = []
    known: dict[int, FunctionType] = {}
    for function in functions:
        _follow(inspect.unwrap(getattr(function, "__func__", function)), known, DEPTH_MAX)
    count = 0
    for one in known.values():
        try:
            lines, first = inspect.getsourcelines(one)
            file = Path(inspect.getsourcefile(one) or one.__module__).name
            waits += waits_in(inspect.cleandoc("\n" + "".join(lines)), file, first)
            count += 1
        except (OSError, TypeError, SyntaxError):
            unread.append(one.__qualname__)
    return ScannedSource(list(dict.fromkeys(waits)), count, unread)


def _follow(function: Any, known: dict[int, FunctionType], depth: int) -> None:
    if (
        not isinstance(function, FunctionType)
        or id(function) in known
        or len(known) >= FUNCTIONS_MAX
        or depth == 0
    ):
        return
    known[id(function)] = function
    package = function.__module__.partition(".")[0]
    for name in _names(function.__code__):
        called = function.__globals__.get(name)
        # A class's methods, a task's body, and what a decorator has wrapped are code of it, too.
        for one in _functions_of(called):
            if one.__module__.partition(".")[0] == package:
                _follow(one, known, depth - 1)


def _functions_of(value: Any) -> Iterator[FunctionType]:
    if isinstance(value, FunctionType):
        yield inspect.unwrap(value)
    elif isinstance(value, type):
        yield from (one for one in vars(value).values() if isinstance(one, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function's code, and the code of functions inside it, looks up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
