"""`history`: who changed what, what the controller decided, when and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson, Limit, OneOrAll
from rollout.cli.output import listing, say, show, show_json
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
        head = ("UTC", "rev", "event", "now", "by", "id", "why")
        show(listing(head, map(_row, timeline), whole=3))
        if page.decisions:
            say("`rollout decision ID` shows the evidence of a decision")


def _row(one: "Happened") -> tuple[object, ...]:
    at = f"{one.at:%Y-%m-%d %H:%M:%S}"
    return (at, one.revision, one.event, one.now, one.actor, one.decision_id, one.why)
