"""How an audit of determinism looks: for people and for scripts."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import listing, plain
from rollout.shadow.determinism import Audit, PathAudit


def render(name: str, found: Audit) -> RenderableType:
    """The audit for people."""
    verdict = (
        "both paths give the same result each time, and agree"
        if found.steady
        else "results vary on one and the same input"
        if any(not one.steady for one in found.paths)
        else "each path is steady, and they differ from each other"
    )
    title = Text.assemble((plain(name), "bold"), f": {verdict}")
    rows = [(one.path, one.condition, one.runs, _seconds(one), _what(one)) for one in found.paths]
    parts: list[RenderableType] = [
        title,
        listing(("path", "condition", "runs", "median", "what varied"), rows, whole=4),
    ]
    if found.between:
        parts.append(Text(plain(f"legacy -> concurrent differ in {', '.join(found.between)}")))
        parts.append(Text(plain(found.between_example)))
    for one in found.paths:
        if one.example:
            parts.append(Text(plain(f"{one.path} {one.condition}, for example: {one.example}")))
    return Group(*parts)


def _seconds(one: PathAudit) -> str:
    return "-" if one.median_s is None else f"{one.median_s * 1000:.1f} ms"


def _what(one: PathAudit) -> str:
    fields = [f"{field} in {runs}" for field, runs in one.fields.items()]
    errors = [f"{error} ({runs} times)" for error, runs in one.errors.items()]
    return "; ".join([*fields, *errors]) or "nothing"


def as_values(name: str, found: Audit) -> dict[str, Any]:
    """The audit for scripts."""
    return {
        "name": name,
        "steady": found.steady,
        "paths": [
            {
                "path": str(one.path),
                "condition": one.condition,
                "runs": one.runs,
                "median_s": one.median_s,
                "fields": dict(one.fields),
                "errors": dict(one.errors),
                "example": one.example,
            }
            for one in found.paths
        ],
        "between": list(found.between),
        "between_example": found.between_example,
    }
