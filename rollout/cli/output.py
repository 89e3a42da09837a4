"""How the commands speak: sentences and tables on stdout, `error:`, `hint:`, `warning:` on stderr.

Texts that came from outside (reasons, errors, names) may hold anything: they are never read as
markup, and their control characters are made visible.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rollout.desk.text import at_text, percent, plain
from rollout.errors import CannotWrite, RolloutError

__all__ = [
    "at_text", "complain", "entries", "facts", "listing", "make_folder", "percent", "plain", "say",
    "show", "show_error", "show_json", "stdout", "warn", "write_file",
]  # fmt: skip

if TYPE_CHECKING:  # rich takes longer to load than a kill switch may
    from rich.console import Console, Group, RenderableType
    from rich.table import Table


def stdout() -> Console:
    """Where results go; made anew, because tests and pipes change what stdout is."""
    from rich.console import Console

    return Console(highlight=False, emoji=False)


def say(text: str, style: str = "") -> None:
    """Print a sentence; it is never broken, so that it can be searched for."""
    from rich.text import Text

    stdout().print(Text(plain(text), style), soft_wrap=True)


def say_now(text: str, *, bold: bool = False) -> None:
    """Print a sentence at once, also into a pipe, and without loading anything."""
    typer.secho(plain(text), bold=bold or None)


def fact(name: str, value: str, width: int) -> str:
    """A line of `facts`: the name and its value, whose further lines stand under the first."""
    return f"  {name:<{width}}  " + value.replace("\n", f"\n{' ' * (width + 4)}")


def show(what: RenderableType) -> None:
    """Print a table; in a pipe without the spaces that fill its lines."""
    console = stdout()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    lines = captured.get().splitlines()
    console.out("\n".join(line.rstrip() for line in lines), highlight=False)


def show_json(values: Any, *, indent: int | None = 2) -> None:
    """Print JSON and nothing else."""
    stdout().out(json.dumps(values, indent=indent, default=_to_json), highlight=False)


def write_file(file: Path, text: str) -> None:
    """Write a file that was asked for, and the folders above it.

    Raises:
        CannotWrite: The machine refuses.
    """
    make_folder(file.parent)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(file, error) from None


def make_folder(folder: Path) -> None:
    """Make a folder that was asked for; raises CannotWrite."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(folder, error) from None


def _to_json(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"cannot show {type(value).__name__} as JSON")


def complain(label: str, text: str, style: str = "") -> None:
    """Print `label: text` on stderr."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, emoji=False)
    console.print(Text.assemble((f"{label}: ", style), plain(text)), soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    complain("warning", text, "bold yellow")


def show_error(error: RolloutError) -> None:
    """Print what went wrong and what to do."""
    complain("error", error.problem, "bold red")
    complain("hint", error.hint, "bold")


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names on the left, values on the right, without lines."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(f"  {name}", Text(plain(value)) if isinstance(value, str) else value)
    return grid


def entries(rows: Iterable[tuple[str, str]]) -> Group:
    """A line each with its sentence under it, indented: for sentences too long for a column."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    for head, sentence in rows:
        parts.append(Text(plain(head)))
        if sentence:
            parts.append(Padding(Text(plain(sentence)), (0, 0, 0, 4)))
    return Group(*parts)


def listing(columns: Sequence[str], rows: Iterable[Sequence[object]], whole: int) -> Table:
    """A table with a header and without lines; the first `whole` columns are never folded."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(table.columns):
        column.overflow, column.no_wrap = "fold", number < whole
    for row in rows:
        table.add_row(*(Text(plain("" if cell is None else cell)) for cell in row))
    return table
