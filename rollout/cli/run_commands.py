"""Commands that run processes: `up`, `controller`, `demo`."""

import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from rollout.cli.output import say_now
from rollout.cli.session import runtime_of, settings_of, settings_with_app

AppOption = Annotated[
    str,
    typer.Option(
        "--app",
        "-A",
        metavar="MODULE",
        help="Module of the Celery app, as celery -A takes it.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(up)
    app.command()(controller)
    app.command()(demo)


def up(ctx: typer.Context, app: AppOption = "") -> None:
    """Start all on this machine: broker, tables, workers, controller.

    Ctrl-C stops all of it and leaves no process.
    """
    from rollout.settings import STATE_FOLDER
    from rollout.up.machine import Machine

    module, settings = settings_with_app(ctx, app, "`rollout up` needs the app", "rollout up")
    machine = Machine(module, settings, Path(STATE_FOLDER), say_now)
    stopping = _stop_on_signals()
    machine.start()
    try:
        if machine.wait_until_ready(lambda: bool(stopping)):
            say_now("ready       ctrl-C stops all")
        while not stopping:
            machine.processes.look_after()
            time.sleep(0.2)
    finally:
        say_now("stopping    workers finish what they hold (10 s at most)")
        machine.stop()
        say_now("stopped")


def _stop_on_signals() -> list[int]:
    """A list that is not empty once SIGINT or SIGTERM came; a second signal changes nothing."""
    came: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        came.append(number)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return came


def controller(ctx: typer.Context, app: AppOption = "") -> None:
    """Run the controller: heartbeat, projection, sweeper, metrics."""
    from rollout.up.controller import run

    ctx.obj = app or ctx.obj
    settings = settings_of(ctx)
    run(runtime_of(settings, "store broker"))


class Demo(StrEnum):
    """What there is to see."""

    PILOT = "pilot"
    EXECUTION = "execution"


def demo(
    what: Annotated[
        Demo, typer.Argument(help="A pilot, or one load run in four ways (under a minute).")
    ] = Demo.PILOT,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where it keeps its state, emptied first.", show_default=".rollout/demo"),
    ] = None,
    report: Annotated[Path, typer.Option(help="Where the report of a pilot goes.")] = Path(
        "reports/demo.json"
    ),
    stay: Annotated[
        bool, typer.Option("--stay", help="Show the page, and stay until ctrl-C.")
    ] = False,
) -> None:
    """Watch a whole pilot in five minutes, on 336,776 flights. Failures are real."""
    if what is Demo.EXECUTION:
        from rollout.demo.execution import FOLDER, run

        sys.exit(run(folder or FOLDER))
    from rollout.demo.drive import drive

    sys.exit(drive(folder or Path(".rollout/demo"), report, stay=stay))
