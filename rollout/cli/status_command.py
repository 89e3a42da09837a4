"""`status`: what is true now, once or each second."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.options import AnyName, AsJson
from rollout.cli.output import at_text, plain, say, show, show_error, show_json, stdout
from rollout.cli.session import opened
from rollout.cli.status_view import PAGES_MAX, render
from rollout.errors import ControlStoreUnreachable, LedgerNotFound, LedgerUnreachable, RolloutError

if TYPE_CHECKING:
    from rollout.wiring import Runtime

WATCH_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(status)


def status(
    ctx: typer.Context,
    name: AnyName = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again each second, to ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where each sub-pipeline stands."""
    with opened(ctx, servers="store", brief=True) as runtime:
        if not watch:
            if as_json:
                show_json(runtime.desk.status(name).to_json())
            else:
                show(render(runtime.desk.status(name, PAGES_MAX)))
            return
        try:
            _watch(runtime, name, as_json)
        except KeyboardInterrupt:
            raise typer.Exit from None


def first_screen(ctx: typer.Context) -> None:
    """The status of everything, and the switch; without a ledger the help."""
    try:
        with opened(ctx, servers="store") as runtime:
            board = runtime.desk.status(None, PAGES_MAX)
    except LedgerNotFound as error:
        say(ctx.get_help())
        say("")
        show_error(error)
        return
    show(render(board))
    say("")
    name = board.by_need[0].state.name if len(board.statuses) == 1 else "NAME"
    say(f"in doubt: `rollout kill {name} --reason '...'`; `rollout --help` lists the commands")


def _watch(runtime: "Runtime", name: str | None, as_json: bool) -> None:
    """Show it again each second; a server that is away for a while does not end it."""
    from rich.live import Live

    console = stdout()
    if as_json or not console.is_terminal:
        while True:
            try:
                page = runtime.desk.status(name, None if as_json else PAGES_MAX)
            except (LedgerUnreachable, ControlStoreUnreachable) as error:
                show_error(error)
            else:
                if as_json:
                    show_json(page.to_json(), indent=None)
                else:
                    show(render(page))
            console.file.flush()
            runtime.clock.sleep(WATCH_S)
    live = Live(_screen(runtime, name), console=console, auto_refresh=False, screen=True)
    try:  # and not `with`: ctrl-C within its beginning would leave the screen as it is
        live.start(refresh=True)
        while True:
            runtime.clock.sleep(WATCH_S)
            live.update(_screen(runtime, name), refresh=True)
    finally:
        live.stop()


def _screen(runtime: "Runtime", name: str | None) -> RenderableType:
    foot = Text(f"{at_text(runtime.clock.now())}, ctrl-C ends", "dim")
    try:
        return Group(render(runtime.desk.status(name, PAGES_MAX)), foot)
    except (LedgerUnreachable, ControlStoreUnreachable) as error:
        return Group(_failure(error), foot)


def _failure(error: RolloutError) -> Text:
    return Text(f"error: {plain(error.problem)}\nhint: {plain(error.hint)}\n")
