"""`docs/execution.md`: its tables are those of the code, and its examples run.

`python -m tests.execution.test_docs` writes the tables.
"""

import ast
import re
from inspect import getsource
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from rollout.execution.policies import TRUTH, FailurePolicy, StepState

PAGE = Path(__file__).parents[2] / "docs" / "execution.md"


def sentences(kind: type) -> dict[str, str]:
    """The sentence under each member of an enumeration, by name."""
    (defined,) = ast.parse(dedent(getsource(kind))).body
    assert isinstance(defined, ast.ClassDef)
    found = {}
    for member, said in zip(defined.body, defined.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(said, ast.Expr):
            (target,) = member.targets
            assert isinstance(target, ast.Name)
            found[target.id] = " ".join(ast.literal_eval(said.value).split())
    return found


def states() -> str:
    """One row per state."""
    said = sentences(StepState)
    rows = "\n".join(f"| `{state.word}` | {said[state.name]} |" for state in StepState)
    return f"| state | means |\n| --- | --- |\n{rows}"


def truth() -> str:
    """One row per policy, one column per worst end of a parent."""
    ends = [state for state in StepState if state >= StepState.SUCCEEDED]
    said = sentences(FailurePolicy)
    head = " | ".join(f"worst {state.word}" for state in ends)
    lines = [f"| policy | {head} | in words |", "| --- |" + " --- |" * (len(ends) + 1)]
    for policy in FailurePolicy:
        cells = " | ".join(TRUTH[policy, state] for state in ends)
        lines.append(f"| `{policy}` | {cells} | {said[policy.name]} |")
    return "\n".join(lines)


TABLES = {"states": states, "truth": truth}


def filled(text: str) -> str:
    """The page with the tables of the code."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)"
        text = re.sub(pattern, lambda found: f"{found[1]}{make()}\n{found[2]}", text, flags=re.S)  # noqa: B023
    return text


def test_the_tables_are_those_of_the_code() -> None:
    """A row that the code does not have, or has otherwise, fails."""
    text = PAGE.read_text()
    assert all(f"<!-- begin: {name} -->" in text for name in TABLES)
    assert filled(text) == text, "python -m tests.execution.test_docs writes them"


EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run(number: int) -> None:
    """Each with those before it."""
    names: dict[str, Any] = {"__name__": "docs_execution"}
    for example in EXAMPLES[: number + 1]:
        exec(compile(example, str(PAGE), "exec"), names)
    assert EXAMPLES


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
