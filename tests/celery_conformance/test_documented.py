"""The declared differences and the table of docs/adopting.md are the same list."""

import ast
import re
from pathlib import Path

from celery import Celery, Task

from rollout.pipeline import SubPipeline
from tests.celery_conformance.cases import CASES
from tests.celery_conformance.differences import ATTRIBUTES, DIFFERENCES, SHOWN_ELSEWHERE
from tests.celery_conformance.examples import PAGE

TESTS = Path(__file__).parents[1]


def documented() -> list[str]:
    """First cells of the table."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.split("## What differs, and why")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [row.removeprefix("| ").split(" | ")[0] for row in rows[1:]]


def test_every_difference_is_told_and_nothing_else_is() -> None:
    """A difference that goes, comes or is worded anew changes both."""
    rows = documented()
    declared = {*ATTRIBUTES.values(), *(one.row for one in DIFFERENCES), *SHOWN_ELSEWHERE}
    assert len(rows) == len(set(rows))
    assert set(rows) == declared


def test_every_example_is_run() -> None:
    """Each file of the page is written by a test that runs it."""
    code = (TESTS / "celery_conformance" / "test_frameworks.py").read_text(encoding="utf-8")
    names = re.findall(r"^# file: (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f'"{name}"' not in code] == []


def test_the_declaration_that_replaces_a_task_is_one() -> None:
    """The page's first example: the options are those of the task that was there before."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    before, after = map(options_of, blocks[:2])
    before["task_name"] = before.pop("name")
    assert before.items() <= after.items()
    app = Celery("shop", broker="memory://", set_as_current=False)
    base = type("DbTask", (Task,), {"abstract": True})
    exec(blocks[1], {"app": app, "SubPipeline": SubPipeline, "DbTask": base})  # our own page
    task = app.tasks["shop.tasks.bill"]
    assert (task.max_retries, task.autoretry_for, type(task).__mro__[1].__name__) == (
        5, (ConnectionError,), "DbTask",
    )  # fmt: skip
    app.close()


def options_of(block: str) -> dict[str, str]:
    """What the first call of some code is given by name, as it is written there."""
    call = next(node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call))
    return {str(given.arg): ast.unparse(given.value) for given in call.keywords}


def test_what_is_shown_elsewhere_is_shown() -> None:
    """Each other row names a case, a test or a rule of comparison that exists."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    for row, shown_by in SHOWN_ELSEWHERE.items():
        assert shown_by in CASES or re.search(rf"^def {shown_by}\(", code, re.MULTILINE), row
