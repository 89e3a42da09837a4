"""How a report on shadows looks to people."""

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import facts, listing, plain
from rollout.desk.shadows import ShadowReport


def render(page: ShadowReport) -> RenderableType:
    """The report on one page."""
    title = Text.assemble((plain(page.account.name), "bold"), f": {page.headline}")
    parts: list[RenderableType] = [title, facts(page.facts)]
    if page.groups:
        parts += [Text(""), Text("mismatches, one line for each cause", "bold"), _table(page)]
    if page.left_out:
        parts.append(Text(f"and {page.left_out} more; --limit shows them"))
    return Group(*parts)


def _table(page: ShadowReport) -> RenderableType:
    rows = [
        (one.runs, page.kind_of(one), one.signature, one.example_job_id, page.example_of(one))
        for one in page.groups
    ]
    return listing(("runs", "what", "fields", "example job", "example"), rows, whole=2)
