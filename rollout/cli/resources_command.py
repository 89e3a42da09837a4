"""`resources`: who holds what several sub-pipelines share, and who waits for it."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson
from rollout.cli.output import entries, say, show, show_json
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
        (f"  {use.job_id}", f"holds {use.weight} for {page.age(use)}: {use.name}, {use.worker}")
        for use in line.holders
    ]
    for position, use in enumerate(line.waiters[:_SHOWN_MAX], 1):
        called = "" if use.called_at is None else ", called"
        wants = f"waits {page.age(use)} for {use.weight}, place {position}: {use.name}"
        rows.append((f"  {use.job_id}", f"{wants}{called}"))
    if rows:
        show(entries(rows))
    more = len(line.waiters) - _SHOWN_MAX
    if more > 0:
        say(f"  {more} more wait; --json lists all")
