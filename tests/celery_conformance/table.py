"""The table of cases: a name, what a caller does with a task, and what it gets."""

from collections.abc import Callable
from typing import Any

from tests.celery_conformance.caller import Caller

Case = Callable[[Caller], Any]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Put a function into the table, under its name."""
    CASES[function.__name__] = function
    return function


def of(name: str, task: str, do: str, *args: Any, **options: Any) -> None:
    """Put one job of a task into the table: the caller asks for its outcome."""

    def run(caller: Caller) -> Any:
        return caller.outcome(caller.send(task, *args, do=do, **options))

    CASES[name] = run
