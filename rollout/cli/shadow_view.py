"""How a report on shadows looks to people."""

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import facts, listing, plain
from rollout.desk.shadows import ShadowReport


def render(found: ShadowReport) -> RenderableType:
    """The report on one page."""
    title = Text.assemble((plain(found.account.name), "bold"), f": {found.headline}")
    parts: list[RenderableType] = [title, facts(found.facts)]
    if found.groups:
        parts += [Text(""), Text("mismatches, one line for each cause", "bold"), _table(found)]
    if found.left_out:
        parts.append(Text(f"and {found.left_out} more; --limit shows them"))
    return Group(*parts)


def _table(found: ShadowReport) -> RenderableType:
    rows = [
        (one.runs, found.kind_of(one), one.signature, one.example_job_id, one.example)
        for one in found.groups
    ]
    return listing(("runs", "what", "fields", "example job", "example"), rows, whole=2)
