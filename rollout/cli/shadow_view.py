"""How a report on shadows looks to people."""

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import entries, facts, plain
from rollout.desk.shadows import ShadowReport


def render(page: ShadowReport) -> RenderableType:
    """The report on one page."""
    title = Text.assemble((plain(page.account.name), "bold"), f": {page.headline}")
    parts: list[RenderableType] = [title, facts(page.facts)]
    if page.groups:
        parts += [
            Text(""),
            Text("mismatches, each cause with how many runs and an example", "bold"),
            _causes(page),
        ]
    if page.left_out:
        parts.append(Text(f"and {page.left_out} more; --limit shows them"))
    return Group(*parts)


def _causes(page: ShadowReport) -> RenderableType:
    """Each cause on a line, its example under it: no id is broken at 80 columns."""
    return entries(
        (
            f"  {one.runs} {page.kind_of(one)}: {one.signature}",
            f"job {one.example_job_id}\n{page.example_of(one)}",
        )
        for one in page.groups
    )
