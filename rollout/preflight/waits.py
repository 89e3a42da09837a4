"""A job that submits others and waits for them, as its source and its runs show it.

While it waits it holds a process. When every process of the concurrent worker waits so, the jobs
they wait for have none to run on, and nothing moves any more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from rollout.preflight.facts import TaskFacts, Touched, Trial, Wait
from rollout.preflight.findings import (
    EXAMPLES_MAX,
    Check,
    Finding,
    NotChecked,
    Passed,
    Result,
    jobs_text,
)

SUBMITS = frozenset({"delay", "apply_async", "send_task", "AsyncResult", "GroupResult"})
"""Calls whose result stands for a job that runs elsewhere."""
WAITS = frozenset({"get", "join", "join_native", "wait", "wait_for", "collect", "iterate"})
"""Methods of such a result that wait."""
ALLOWS = frozenset({"allow_join_result"})
"""What switches Celery's own guard against waiting inside a task off."""


def waits_in(source: str, file: str, first_line: int) -> list[Wait]:
    """Places in a function's source that wait for another task.

    Args:
        source: The function's source, indented as one likes.
        file: Where it stands, for the places.
        first_line: The line of the file on which the source begins.

    Raises:
        SyntaxError: It is no Python.
    """
    tree = ast.parse(source)
    results = _results_of(tree)
    waits = []
    for node in ast.walk(tree):
        what = _wait_of(node, results)
        if what:
            line = first_line + getattr(node, "lineno", 1) - 1
            waits.append(Wait(f"{file}:{line}", what))
    return sorted(set(waits), key=lambda one: (one.where, one.what))


def _results_of(tree: ast.AST) -> set[str]:
    """Names that hold the result of a submission, or a list of such results."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.comprehension):
            targets, value = [node.target], node.iter
        else:
            continue
        if _submits(value, names):
            names.update(one.id for one in targets if isinstance(one, ast.Name))
    return names


def _submits(value: ast.AST, names: set[str]) -> bool:
    """Whether a value is, or holds, the result of a submission."""
    if isinstance(value, ast.Name):
        return value.id in names
    return any(
        isinstance(one, ast.Call) and _called(one) in SUBMITS for one in ast.walk(value)
    ) and not any(isinstance(one, ast.Call) and _called(one) in WAITS for one in ast.walk(value))


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _wait_of(node: ast.AST, results: set[str]) -> str:
    """What a node waits for; "" for nothing."""
    if not isinstance(node, ast.Call):
        return ""
    name = _called(node)
    if name in ALLOWS:
        return f"{name}() lets a task wait for another"
    allowed = [one.value for one in node.keywords if one.arg == "disable_sync_subtasks"]
    if any(isinstance(one, ast.Constant) and one.value is False for one in allowed):
        return f".{name}(disable_sync_subtasks=False) waits for another task"
    if name not in WAITS or not isinstance(node.func, ast.Attribute):
        return ""
    of = node.func.value
    if isinstance(of, ast.Name) and of.id in results:
        return f"{of.id}.{name}() waits for another task"
    if isinstance(of, ast.Call) and (_called(of) in SUBMITS or _submits(of.func, results)):
        return f"{_called(of)}(...).{name}() waits for another task"
    return ""


def check_waits(task: TaskFacts, trial: Trial) -> Iterator[Result]:
    """Join what the source says and what the runs did."""
    waited = [
        f"{run.where}: {touch.what}"
        for run in trial.runs
        for touch in run.touches
        if touch.kind is Touched.WAIT
    ]
    places = [f"{one.where}: {one.what}" for one in task.source.waits]
    if places or waited:
        told = [jobs_text(len(places), "place") + " in the source"] if places else []
        told += [jobs_text(len(waited), "run")] if waited else []
        yield Finding(
            Check.WAITS,
            f"the task waits for other tasks ({' and '.join(told)}): once all processes wait, "
            "nothing runs what they wait for",
            "submit a chain or a chord in place of waiting, or run the other task on a queue of "
            "its own",
            [*dict.fromkeys([*places, *waited])][:EXAMPLES_MAX],
        )
    elif task.source.functions:
        watched = f" and {jobs_text(len(trial.runs), 'run')}" if trial.runs else ""
        yield Passed(
            Check.WAITS,
            f"the source of {jobs_text(task.source.functions, 'function')}{watched} waits for no "
            "other task",
        )
    if task.source.unread or not task.source.functions:
        unread = ", ".join(task.source.unread[:EXAMPLES_MAX]) or task.name
        yield NotChecked(
            Check.WAITS,
            f"the source of {unread} cannot be read",
            "look for .get() and .join() there, or run some jobs: --run 5",
        )
