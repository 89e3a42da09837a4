"""The shape of JSON: which keys stand where and of what type, without the values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("json_shapes.json")

Shape = dict[str, str]
"""Path of keys to the types that stand there, by "|"; `[]` is any place of a list."""


def shape_of(*values: Any) -> Shape:
    """The shape that several outputs of one command have together."""
    found: dict[str, set[str]] = {}
    for value in values:
        for path, kind in _walk("", value):
            found.setdefault(path, set()).add(kind)
    return {path: "|".join(sorted(kinds)) for path, kinds in sorted(found.items())}


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    yield path or ".", type(value).__name__
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(f"{path}[]", inner)


def recorded() -> dict[str, Shape]:
    """Every recorded shape, by command."""
    shapes: dict[str, Shape] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return shapes


def keep(command: str, shape: Shape) -> None:
    """Record one more shape: of a command that has none, after somebody took its old one out."""
    shapes = recorded() | {command: shape}
    RECORDED.write_text(json.dumps(dict(sorted(shapes.items())), indent=1) + "\n")
