"""`drill run | stop | list | show | journal`: forced failures, timed."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli.drill_view import event_line, event_values, journal_table, list_rows, score_table
from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import Actor, AnyName, AsJson, Limit, OneOrAll, who
from rollout.cli.output import listing, say, show, show_json
from rollout.cli.session import opened

if TYPE_CHECKING:
    from rollout.core.drill import Drill
    from rollout.drill_ports import DrillEvent
    from rollout.wiring import Runtime

drill_app = typer.Typer(
    name="drill", help="Force a failure on purpose and time how it heals.", no_args_is_help=True
)

DrillId = Annotated[
    str, typer.Argument(metavar="ID", help="A drill's id, or its beginning.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (run, stop, show_one, journal):
        drill_app.command("show" if command is show_one else command.__name__)(command)
    drill_app.command("list")(list_all)
    app.add_typer(drill_app)


def run(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Drill in TOML or YAML.", show_default=False),
    ],
    pair: Annotated[
        bool, typer.Option("--pair", help="On both paths, one after the other, in random order.")
    ] = False,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Run a drill; ctrl-C ends it and takes its fault away."""
    from rollout.adapters.drill_file import read_file
    from rollout.core.drill import read_drill

    drill = read_drill(read_file(file), f"drill {file.name}")
    _end_on_sigterm()
    with opened(ctx) as runtime:
        _run_one(runtime, _both(drill) if pair else drill, who(actor), as_json)


def _run_one(runtime: "Runtime", drill: "Drill", actor: str, as_json: bool) -> None:
    drills = runtime.drills(None if as_json else lambda event: say(event_line(event)))
    try:
        report = drills.run(drill, coin(), actor)
    except KeyboardInterrupt:
        say("interrupted; the fault is off")
        raise typer.Exit(ExitCode.PARTLY) from None
    if as_json:
        show_json({"pair_id": report.pair_id, "scores": [one.facts() for one in report.scores]})
    else:
        show(score_table(report.scores))
        for score in report.scores:
            say(f"{score.path}: {score.sentence}")
    if not report.clean:
        raise typer.Exit(ExitCode.FOUND)


def _both(drill: "Drill") -> "Drill":
    from dataclasses import replace

    from rollout.core.decision import JobPath

    return replace(drill, paths=tuple(JobPath))


def coin() -> Any:
    """Draw the path that a pair begins with."""
    from secrets import choice

    from rollout.core.decision import JobPath

    return choice(tuple(JobPath))


def _end_on_sigterm() -> None:
    """Let SIGTERM take the fault away, as ctrl-C does."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)


def stop(ctx: typer.Context, name: OneOrAll = None) -> None:
    """Take the planted fault off NAME, or off every sub-pipeline; its drill ends."""
    with opened(ctx, servers="store") as runtime:
        stopped = runtime.drills(None).stop(name)
    say(f"stopped on {', '.join(stopped)}" if stopped else "no fault is planted")


def list_all(
    ctx: typer.Context, name: AnyName = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List drills, newest first."""
    with opened(ctx, servers="") as runtime:
        events = runtime.ledger.drills(name, limit)
    if as_json:
        show_json({"drills": [event_values(event) for event in events]})
    elif not events:
        say("no drill has been run; `rollout drill run FILE` runs one")
    else:
        columns = ("UTC", "id", "sub-pipeline", "path", "fault", "result", "recovery")
        show(listing(columns, list_rows(events), whole=2))


def show_one(ctx: typer.Context, drill_id: DrillId, as_json: AsJson = False) -> None:
    """Show what came of one drill."""
    events = _events(ctx, drill_id)
    ended = [event for event in events if event.what == "ended"]
    if as_json:
        show_json({"declared": events[0].facts, "ended": ended[0].facts if ended else None})
        return
    facts: dict[str, Any] = {**events[0].facts, **(ended[0].facts if ended else {})}
    show(listing(("what", "is"), [(key, str(value)) for key, value in facts.items()], whole=1))
    if not ended:
        say("it has not ended, or its runner died; its fault ended by itself")


def journal(ctx: typer.Context, drill_id: DrillId, as_json: AsJson = False) -> None:
    """Show everything that happened in one drill, in order."""
    events = _events(ctx, drill_id)
    if as_json:
        show_json({"drill_id": events[0].drill_id, "events": [event_values(e) for e in events]})
    else:
        show(journal_table(events))


def _events(ctx: typer.Context, drill_id: str) -> "list[DrillEvent]":
    from rollout.core.drill_errors import BadDrill

    with opened(ctx, servers="") as runtime:
        events = runtime.ledger.drill_events(drill_id)
        if not events:
            found = {e.drill_id for e in runtime.ledger.drills(None, 10_000)}
            close = sorted(one for one in found if one.startswith(drill_id))
            if len(close) == 1:
                events = runtime.ledger.drill_events(close[0])
    if not events:
        raise BadDrill(f"no drill with id {drill_id!r}", "`rollout drill list` shows them")
    return events
