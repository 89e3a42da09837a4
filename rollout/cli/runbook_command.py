"""`runbook`: what to do about an alarm, also where no server answers."""

from typing import Annotated

import typer

from rollout.cli.options import AsJson
from rollout.cli.output import say, show_json
from rollout.desk.runbooks import read_runbook, read_runbooks


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(runbook)


def runbook(
    which: Annotated[
        str,
        typer.Argument(
            metavar="RUNBOOK", help="Its name, or a part that no other has; none lists them all."
        ),
    ] = "",
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The sub-pipeline: its commands are ready to be copied.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what to do about an alarm; asks no server."""
    if which:
        found = read_runbook(which)
        if as_json:
            show_json(found.to_json())
        else:
            say(found.shown(name).rstrip())
        return
    every = read_runbooks()
    if as_json:
        show_json(every.to_json())
        return
    width = max(len(one.name) for one in every.runbooks)
    for one in every.runbooks:
        say(f"{one.name:<{width}}  {one.title}")
