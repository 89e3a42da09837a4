"""`history`: who changed what, what the controller decided, when and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson, Limit, OneOrAll
from rollout.cli.output import at_text, entries, say, show, show_json
from rollout.cli.session import opened

if TYPE_CHECKING:
    from rollout.desk.history import Happened


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(history)


def history(
    ctx: typer.Context,
    name: OneOrAll = None,
    every: Annotated[bool, typer.Option("--all", help="When all were killed and rearmed.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show changes and decisions of a sub-pipeline, newest first."""
    if (name is None) is not every:
        raise typer.BadParameter("give either NAME or --all")
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.history(name, limit)
    timeline = page.timeline
    if as_json:
        show_json(page.to_json())
    elif not timeline:
        begins = f"{name}: declared and never changed; `rollout start {name}` begins"
        say("all were never killed" if name is None else begins)
    else:
        show(entries((_head(one), one.why) for one in timeline))
        if page.decisions:
            say("`rollout decision ID` shows the evidence of a decision")


def _head(one: "Happened") -> str:
    """When, what and by whom; the sentence stands under it."""
    words = [one.what, f"by {one.actor}"]
    words += [] if one.revision is None else [f"revision {one.revision}"]
    words += [] if one.decision_id is None else [f"decision {one.decision_id}"]
    return f"{at_text(one.at)}  {', '.join(words)}"
