"""docs/cli.md names every command, option and exit code of the program."""

from pathlib import Path

import pytest
import typer.main

from rollout.cli.app import app
from rollout.cli.exit_codes import MEANINGS

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


def test_exit_codes_are_documented() -> None:
    """The table of exit codes is the program's."""
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in TEXT
