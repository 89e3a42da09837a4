"""Reads drills from files: TOML, YAML, or a Chaos Toolkit experiment in JSON."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout.drills.errors import BadDrill
from rollout.errors import why_of

KINDS = (".toml", ".yaml", ".yml", ".json")


def read_file(path: Path) -> Mapping[str, Any]:
    """Read a table of names and values.

    Raises:
        BadDrill: The file cannot be read, is of another kind, or holds something else.
    """
    if path.suffix not in KINDS:
        raise BadDrill(
            f"a drill must be a file of {', '.join(KINDS)}, got {path.name!r}",
            "TOML and YAML declare drills, JSON is a Chaos Toolkit experiment",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise BadDrill(f"{path} cannot be read: {why_of(error)}", "name a drill's file") from error
    try:
        values = _parse(path.suffix, text)
    except ValueError as error:
        raise BadDrill(f"{path} is not {path.suffix[1:].upper()}: {error}", "correct it") from error
    if not isinstance(values, Mapping):
        raise BadDrill(
            f"{path} must be a table of names and values, got {type(values).__name__}",
            "see docs/drills.md",
        )
    return values


def _parse(suffix: str, text: str) -> Any:
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
