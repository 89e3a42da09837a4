"""`drill run | stop | list | show | journal`: forced failures, timed."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rollout.cli.drill_view import (
    event_line,
    figures_table,
    journal_table,
    list_table,
    played_table,
    score_table,
)
from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import Actor, AnyName, AsJson, Limit, Name, OneOrAll, caller_of, who
from rollout.cli.output import make_folder, say, show, show_json, write_file
from rollout.cli.session import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout.drills.drill import Drill
    from rollout.drills.gameday import GameDay
    from rollout.drills.ports import DrillEvent
    from rollout.drills.schedule import Schedule
    from rollout.wiring import Runtime

drill_app = typer.Typer(
    name="drill", help="Force a failure on purpose and time how it heals.", no_args_is_help=True
)

DrillId = Annotated[
    str, typer.Argument(metavar="ID", help="A drill's id, or its beginning.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (run, stop, show_one, journal, schedule, hypothesis):
        drill_app.command("show" if command is show_one else command.__name__)(command)
    drill_app.command("list")(list_all)
    app.add_typer(drill_app)


def run(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Drill or game day in TOML or YAML, or a Chaos Toolkit experiment in JSON.",
            show_default=False,
        ),
    ],
    pair: Annotated[
        bool, typer.Option("--pair", help="On both paths, one after the other, in random order.")
    ] = False,
    report: Annotated[
        Path, typer.Option(help="Folder that the report of a game day is written to.")
    ] = Path("reports/gameday"),
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the lines of single jobs and windows, too.")
    ] = False,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Run a drill or a game day. Ctrl-C ends it and takes its fault away."""
    from rollout.drills.gameday import GameDay
    from rollout.sources import read_drill_file

    declared = read_drill_file(file)
    _end_on_sigterm()
    with opened(ctx) as runtime:
        if isinstance(declared, GameDay):
            _play(runtime, declared, report, who(actor), _teller(verbose=verbose))
        else:
            drill, tell = _both(declared) if pair else declared, _teller(verbose=verbose)
            _run_one(runtime, drill, who(actor), None if as_json else tell)


def _read_one(file: Path) -> "Drill":
    """One drill; raises BadDrill for a game day, too."""
    from rollout.drills.errors import BadDrill
    from rollout.drills.gameday import GameDay
    from rollout.sources import read_drill_file

    declared = read_drill_file(file)
    if isinstance(declared, GameDay):
        raise BadDrill(f"{file} must declare one drill, got a game day", "give a file for each")
    return declared


def _run_one(
    runtime: "Runtime", drill: "Drill", actor: str, tell: "Callable[[DrillEvent], None] | None"
) -> None:
    drills = runtime.drills(tell, caller_of(actor))
    try:
        report = drills.run(drill, coin(), actor)
    except KeyboardInterrupt:
        _interrupted()
    if tell is None:
        show_json(report.to_json())
    else:
        show(score_table(report.scores))
        for score in report.scores:
            say(f"{score.path}: {score.sentence}")
    if not report.clean:
        raise typer.Exit(ExitCode.FOUND)


def _play(
    runtime: "Runtime",
    day: "GameDay",
    folder: Path,
    actor: str,
    tell: "Callable[[DrillEvent], None]",
) -> None:
    from rollout.drills.gamedays import play

    make_folder(folder)
    try:
        report = play(
            day,
            runtime.drills(tell, caller_of(actor)),
            runtime.database_ledger,
            runtime.clock,
            coin,
            actor,
            say,
        )
    except KeyboardInterrupt:
        _interrupted()
    for name, content in report.files.items():
        write_file(folder / name, content)
    show(played_table(report.played))
    say(f"report      {folder / 'gameday.md'} and {folder / 'gameday.html'}")
    if not report.clean:
        raise typer.Exit(ExitCode.FOUND)


def _teller(*, verbose: bool) -> "Callable[[DrillEvent], None]":
    """Says each line of a journal; those of single jobs and windows only when asked for."""
    from rollout.desk.drills import is_detail

    def tell(event: "DrillEvent") -> None:
        if verbose or not is_detail(event):
            say(event_line(event))

    return tell


def _interrupted() -> NoReturn:
    say("interrupted; the fault is off")
    raise typer.Exit(ExitCode.PARTLY) from None


def _both(drill: "Drill") -> "Drill":
    from dataclasses import replace

    from rollout.routing.decision import JobPath

    return replace(drill, paths=tuple(JobPath))


def coin() -> Any:
    """Draw the path that a pair begins with."""
    from secrets import choice

    from rollout.routing.decision import JobPath

    return choice(tuple(JobPath))


def _end_on_sigterm() -> None:
    """Let SIGTERM take the fault away, as ctrl-C does."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)


def schedule(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Drills to choose from.", show_default=False),
    ],
    jitter_s: Annotated[
        float, typer.Option(min=0, help="Longest random wait before a drill, in seconds.")
    ] = 600.0,
    look_s: Annotated[float, typer.Option(min=0.1, help="Pause between two looks.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and say what was found.")] = False,
) -> None:
    """Run overdue drills as pairs, when the calendars allow it. Ctrl-C ends it."""
    from secrets import randbelow

    from rollout.drills.schedule import Schedule

    declared = [_both(_read_one(file)) for file in files]
    _end_on_sigterm()
    with opened(ctx) as runtime:
        schedule = Schedule(
            declared,
            runtime.drills(_teller(verbose=False), caller_of("")),
            runtime.ledger,
            runtime.clock,
            runtime.policies.of,
            lambda: randbelow(1_000_000) / 1_000_000,
            coin,
            jitter_s,
        )
        try:
            _look_again_and_again(schedule, runtime, look_s, once)
        except KeyboardInterrupt:
            _interrupted()


def _look_again_and_again(
    schedule: "Schedule", runtime: "Runtime", look_s: float, once: bool
) -> None:
    from rollout.errors import ControlStoreUnreachable, LedgerUnreachable

    last = ""
    while True:
        try:
            began = schedule.look()
        except (LedgerUnreachable, ControlStoreUnreachable) as error:
            if once:
                raise
            began = str(error)
        text = began if isinstance(began, str) else f"ran {began.drill.name!r}"
        if text != last:
            say(text)
            last = text
        if once:
            return
        runtime.clock.sleep(look_s)


def hypothesis(
    ctx: typer.Context,
    name: Name,
    window_s: Annotated[float, typer.Option(min=0.1, help="Seconds of one window.")] = 10.0,
) -> None:
    """Print what is normal now as a Chaos Toolkit hypothesis."""
    from rollout.drills.hypothesis import hypothesis as made

    with opened(ctx, servers="") as runtime:
        show_json(made(runtime.database_ledger, runtime.clock, name, window_s))


def stop(ctx: typer.Context, name: OneOrAll = None) -> None:
    """Take the planted fault off NAME, or off all. Its drill ends."""
    with opened(ctx, servers="store") as runtime:
        stopped = runtime.door.drill(
            caller_of(""), name, "a planted fault is taken away",
            lambda: runtime.drills(None).stop(name), action="end-drill",
        )  # fmt: skip
    say(f"stopped on {', '.join(stopped)}" if stopped else "no fault is planted")


def list_all(
    ctx: typer.Context, name: AnyName = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List drills, newest first."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.drills(name, limit)
    if as_json:
        show_json(page.to_json())
    elif not page.events:
        say("no drill has been run; `rollout drill run FILE` runs one")
    else:
        show(list_table(page))


def show_one(ctx: typer.Context, drill_id: DrillId, as_json: AsJson = False) -> None:
    """Show what came of one drill."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.drill(drill_id)
    if as_json:
        show_json(page.summary_json())
        return
    show(figures_table(page.figures))
    if page.died:
        say("its runner died: nothing was measured, and its fault went off by itself")


def journal(ctx: typer.Context, drill_id: DrillId, as_json: AsJson = False) -> None:
    """Show everything that happened in one drill, in order."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.drill(drill_id)
    if as_json:
        show_json(page.to_json())
    else:
        show(journal_table(page.events))
