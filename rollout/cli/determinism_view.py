"""How it looks to people whether both paths are deterministic."""

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import listing, plain
from rollout.shadow.determinism import Determinism, PathDeterminism


def render(page: Determinism) -> RenderableType:
    """Both paths, alone and under load."""
    title = Text.assemble((plain(page.name), "bold"), f": {page.verdict}")
    rows = [(one.path, one.condition, one.runs, _seconds(one), _what(one)) for one in page.paths]
    parts: list[RenderableType] = [
        title,
        listing(("path", "condition", "runs", "median", "what varied"), rows, whole=4),
    ]
    if page.between:
        parts.append(Text(plain(f"legacy -> concurrent differ in {', '.join(page.between)}")))
        parts.append(Text(plain(page.between_example)))
    for one in page.paths:
        if one.example:
            parts.append(Text(plain(f"{one.path} {one.condition}, for example: {one.example}")))
    return Group(*parts)


def _seconds(one: PathDeterminism) -> str:
    return "-" if one.median_s is None else f"{one.median_s * 1000:.1f} ms"


def _what(one: PathDeterminism) -> str:
    fields = [f"{field} in {runs}" for field, runs in one.fields.items()]
    errors = [f"{error} ({runs} times)" for error, runs in one.errors.items()]
    return "; ".join([*fields, *errors]) or "nothing"
