"""`resources`: who holds what several sub-pipelines share, and who waits for it."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson
from rollout.cli.output import listing, say, show, show_json
from rollout.cli.session import opened

if TYPE_CHECKING:
    from rollout.desk.resources import ResourceLine, ResourcePage

_SHOWN_MAX = 20
"""Waiting jobs of one resource on the screen; `--json` has all."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(resources)


def resources(
    ctx: typer.Context,
    resource: Annotated[
        str | None, typer.Argument(metavar="[RESOURCE]", help="One resource; else all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who holds each resource and who waits for it, in order."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.resources(resource)
    if as_json:
        show_json(page.to_json())
        return
    if not page.lines:
        say("no resource is declared: rollout.toml has no table [resource.NAME]")
    for line in page.lines:
        _show_line(page, line)


def _show_line(page: "ResourcePage", line: "ResourceLine") -> None:
    say(f"{line.resource}: {line.sentence}", "bold")
    rows = [
        ("holds", use.job_id, use.name, use.weight, page.age(use), use.worker)
        for use in line.holders
    ]
    rows += [
        (
            f"waits {position}",
            use.job_id,
            use.name,
            use.weight,
            page.age(use),
            "" if use.called_at is None else "called",
        )
        for position, use in enumerate(line.waiters[:_SHOWN_MAX], 1)
    ]
    if rows:
        show(listing(("", "job", "sub-pipeline", "takes", "for", "worker"), rows, whole=2))
    more = len(line.waiters) - _SHOWN_MAX
    if more > 0:
        say(f"{more} more wait; --json lists all")
