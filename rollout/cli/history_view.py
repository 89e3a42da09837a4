"""`history`: who changed what, what the controller decided, when and why."""

from typing import TYPE_CHECKING

import typer

from rollout.cli.options import AsJson, Limit, Name
from rollout.cli.output import listing, say, show, show_json
from rollout.cli.session import opened

if TYPE_CHECKING:
    from rollout.desk.history import Happened


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(history)


def history(ctx: typer.Context, name: Name, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show changes and decisions of a sub-pipeline, newest first."""
    with opened(ctx, servers="") as runtime:
        found = runtime.desk.history(name, limit)
    timeline = found.timeline
    if as_json:
        show_json(found.to_json())
    elif not timeline:
        say(f"{name}: declared and never changed; `rollout start {name}` begins")
    else:
        head = ("UTC", "rev", "event", "now", "by", "id", "why")
        show(listing(head, map(_row, timeline), whole=3))
        if found.decisions:
            say("`rollout decision ID` shows the evidence of a decision")


def _row(one: "Happened") -> tuple[object, ...]:
    at = f"{one.at:%Y-%m-%d %H:%M:%S}"
    return (at, one.revision, one.event, one.now, one.actor, one.decision_id, one.why)
