"""What runbooks tell a person to type, taken out of their text, each to be run by a test.

- `rollout ...` on a plant of Valkey and SQLite: tests/shells/test_runbook_steps.py;
- what is typed at processes of `rollout up`: tests/acceptance/test_runbook_processes.py;
- what is typed at systemd, compose and Kubernetes: tests/docs/test_runbook_shells.py, in a shell
  whose tools only check and record;
- what is typed at PostgreSQL: there, too, on a real server.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from tests.docs.tables import ROOT

PAGES = (*sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "docs" / "upgrading.md")

_PROGRAMS = (
    "rollout",
    "tail",
    "df",
    "redis-cli",
    "systemctl",
    "journalctl",
    "docker",
    "kubectl",
    "SELECT",
)
_COMMAND = re.compile(rf"(?:{'|'.join(_PROGRAMS)})(?: |$).*")

_MENTIONS = {"rollout up", "rollout kill"}
"""Named in a sentence, such as "`rollout kill` prints", and not to be typed like this."""


class Where(Enum):
    """Which of the tests runs a step."""

    PLANT = auto()
    PROCESSES = auto()
    SHELLS = auto()
    POSTGRESQL = auto()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that are typed one after the other; a command inside a sentence is one by itself."""

    page: str
    lines: tuple[str, ...]

    @property
    def where(self) -> Where:
        """Which of the tests runs it."""
        program, *words = self.lines[0].split()
        if program == "rollout":
            return Where.PROCESSES if words[0] in ("up", "controller") else Where.PLANT
        if program in ("tail", "df", "redis-cli"):
            return Where.PROCESSES
        return Where.POSTGRESQL if program == "SELECT" else Where.SHELLS


def blocks_of(page: Path) -> list[Block]:
    """Everything that a page tells a person to type, in order."""
    text, found = page.read_text(), []
    typed: list[str] = []
    for line in [*text.splitlines(), ""]:
        command = re.fullmatch(r" {4,}(\S.*)", line)
        if command and _COMMAND.fullmatch(command[1]):
            typed.append(_without_comment(command[1]))
            continue
        if typed:
            found.append(Block(page.name, tuple(typed)))
            typed = []
        found += [
            Block(page.name, (one,))
            for one in re.findall(r"`([^`]+)`", line)
            if _COMMAND.fullmatch(one) and one not in _MENTIONS
        ]
    return found


def blocks(where: Where) -> list[Block]:
    """Every block of every page that is run there."""
    return [one for page in PAGES for one in blocks_of(page) if one.where is where]


def _without_comment(line: str) -> str:
    return re.sub(r"\s+# .*", "", line).strip()
