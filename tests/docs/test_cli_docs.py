"""docs/cli.md names every command, option and exit code of the program."""

import json
import re
from pathlib import Path

import pytest
import typer.main

from rollout.cli.app import app
from rollout.cli.exit_codes import MEANINGS
from tests.docs.tables import CLI_TABLES, filled
from tests.shells.json_shapes import recorded, shape_of

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def commands(group: object, above: str = "") -> dict[str, list[str]]:
    """Options of every command by its name; a command of a group is named with the group."""
    found: dict[str, list[str]] = {}
    for name, command in vars(group)["commands"].items():
        if "commands" in vars(command):
            found |= commands(command, f"{above}{name} ")
        else:
            options = [option for parameter in command.params for option in parameter.opts]
            found[f"{above}{name}"] = options
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_is_documented(name: str) -> None:
    """A heading names the command, and its options are somewhere on the page."""
    headings = [line for line in TEXT.splitlines() if line.startswith("### ")]
    assert any(f"`{name}" in heading for heading in headings)
    for option in COMMANDS[name]:
        if option.startswith("--"):
            assert option in TEXT


def test_keys_of_json_are_documented() -> None:
    """The table is what `python -m tests.docs.tables` would write from the recorded shapes, which
    tests/shells/test_json_shapes.py holds every command to."""
    assert filled(TEXT, CLI_TABLES) == TEXT
    for key in ("result", "declared", "ended", "results"):
        assert f"`{key}`" in TEXT


def test_examples_of_json_have_keys_that_exist() -> None:
    """Each JSON object that the page shows is one that its command prints."""
    shown = re.findall(r"\$ rollout ([^\n]*?) --json\n(\{.*?^\})", TEXT, re.DOTALL | re.MULTILINE)
    assert len(shown) >= 3
    for command, text in shown:
        typed = command.replace("-", "_")
        name = next((one for one in recorded() if typed.startswith(one)), "changes")
        keys = set(shape_of(json.loads(text)))
        assert keys <= set(recorded()[name]), (command, keys - set(recorded()[name]))


def test_exit_codes_are_documented() -> None:
    """The table of exit codes is the program's."""
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in TEXT
