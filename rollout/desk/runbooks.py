"""What to do, by what one sees: the runbooks of this release.

They are files, and neither ledger nor control store is needed to read one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from rollout.desk.plain import Json
from rollout.desk.text import plain
from rollout.errors import UnknownRunbook

_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Runbook:
    """One file; `name` is the file's without its ending, `text` its Markdown."""

    name: str
    text: str

    @property
    def file(self) -> str:
        """As alarms name it."""
        return f"{self.name}.md"

    @property
    def title(self) -> str:
        """What one sees, in a few words."""
        return self.text.partition("\n")[0].lstrip("# ").strip()

    def shown(self, name: str | None) -> str:
        """The text for a terminal: a link to another runbook is the command that shows it.

        Args:
            name: The sub-pipeline that stands for NAME, quoted as a shell takes it.
        """
        text = _LINK.sub(_as_command, self.text)
        return text if name is None else filled(text, plain(quote(name)))

    def to_json(self) -> Json:
        """What scripts read."""
        return {"name": self.name, "title": self.title, "text": self.text}


@dataclass(frozen=True, slots=True)
class Runbooks:
    """All of them, by title."""

    runbooks: tuple[Runbook, ...]

    def to_json(self) -> Json:
        """What scripts read."""
        return {"runbooks": [one.to_json() for one in self.runbooks]}


def filled(text: str, name: str) -> str:
    """The text with `name` wherever NAME stands."""
    return re.sub(r"\bNAME\b", lambda _: name, text)


def command_of(file: str) -> str:
    """What shows the runbook of an alarm."""
    return f"rollout runbook {file.removesuffix('.md')}"


def read_runbooks() -> Runbooks:
    """All of them."""
    found = [Runbook(path.stem, path.read_text("utf-8")) for path in _folder().glob("*.md")]
    return Runbooks(tuple(sorted(found, key=lambda one: one.title)))


def read_runbook(name: str) -> Runbook:
    """The one whose name this is, or the only one whose name has it as a part.

    Raises:
        UnknownRunbook: None or several have it.
    """
    all_of_them = read_runbooks().runbooks
    wanted = name.removesuffix(".md")
    found = [one for one in all_of_them if one.name == wanted]
    found = found or [one for one in all_of_them if wanted and wanted.lower() in one.name]
    if len(found) != 1:
        raise UnknownRunbook(name, [one.name for one in found or all_of_them])
    return found[0]


def _as_command(link: re.Match[str]) -> str:
    words, href = link.groups()
    if href.startswith("http"):
        return f"{words} ({href})"
    if "/" in href:
        return f"{words} (docs/{href.rpartition('../')[2]})"
    return f"{words} (`{command_of(href)}`)"


def _folder() -> Path:
    """An installed package carries them inside; a checkout has them in its docs."""
    package = Path(__file__).parents[1]
    inside = package / "runbooks"
    return inside if inside.is_dir() else package.parent / "docs" / "runbooks"
