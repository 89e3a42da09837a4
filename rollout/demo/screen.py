"""Where the demo tells its story."""

from __future__ import annotations

from rich.console import Console

FILE_WIDTH = 1_000
"""Columns of a file or a pipe: no line is broken there, so that it can be searched for."""


def screen() -> Console:
    """Give stdout: as wide as its terminal, and a file as wide as its longest line."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console
