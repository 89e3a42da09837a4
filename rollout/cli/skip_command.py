"""`skip`: the jobs of a key go on behind one that failed."""

from typing import Annotated

import typer

from rollout.cli.options import Actor, AsJson, NeededReason, said, who
from rollout.cli.output import say, show_json
from rollout.cli.session import opened


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(skip)


def skip(
    ctx: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Id, or its beginning.")],
    reason: NeededReason = "",
    name: Annotated[
        str | None,
        typer.Option("--name", help="Sub-pipeline, where several have a job of this id."),
    ] = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Let the jobs of its key go on behind a kept failure; it stays kept."""
    with opened(ctx, servers="broker") as runtime:
        whole = runtime.desk.whole_id(job_id)
        skipped = runtime.changes.skip(whole, name, who(actor), said(reason))
    if as_json:
        show_json(skipped.to_json())
        return
    after = "the next one of the key was sent" if skipped.sent else "no job waits behind it"
    say(f"{skipped.job_id} holds key {skipped.key} no longer; {after}")
