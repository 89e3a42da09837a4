"""What a person reads is composed in the desk: no screen has a shape of its own."""

import ast
from pathlib import Path

import rollout.cli

CLI = Path(rollout.cli.__file__).parent

OWN = {
    "control_commands.py": 2,
    "drill_commands.py": 1,
    "job_commands.py": 1,
    "kill_command.py": 1,
    "web_command.py": 1,
}
"""Commands that name, beside a service's own result, what was asked; and one foreign document."""


def shapes(file: Path) -> list[int]:
    """Lines that print JSON of their own making."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show_json":
            given = node.args[0]
            of_a_result = isinstance(given, ast.Call) and (
                getattr(given.func, "attr", "").endswith("_json")
                or getattr(given.func, "attr", "") == "to_json"
            )
            if not of_a_result:
                found.append(node.lineno)
    return found


def test_the_command_line_writes_no_shape_of_its_own() -> None:
    """Each `--json` prints what the desk, or the service that acted, gives."""
    found = {file.name: len(shapes(file)) for file in CLI.glob("*.py") if shapes(file)}
    assert found == OWN
