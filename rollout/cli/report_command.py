"""`report`: what happened since a time, for a ticket or a hand-over."""

from pathlib import Path
from typing import Annotated

import typer

from rollout.cli.options import AsJson, Name, Since, since_of
from rollout.cli.output import say, show_json, write_file
from rollout.cli.session import opened


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(report)


def report(
    ctx: typer.Context,
    name: Name,
    since: Since = "24h",
    html: Annotated[bool, typer.Option("--html", help="A page instead of Markdown.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there.", show_default="the terminal"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what happened since a time: jobs, changes, drills."""
    with opened(ctx, servers="") as runtime:
        now = runtime.clock.now()
        page = runtime.desk.report(name, since_of(since, now) or now)
    if as_json:
        show_json(page.to_json())
        return
    text = page.html if html else page.markdown
    if out is None:
        say(text.rstrip())
        return
    write_file(out, text)
    say(f"report      {out}")
