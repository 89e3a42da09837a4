"""The Typer app: global options, error handling, and all commands."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rollout import __version__
from rollout.cli import (
    backtest_command,
    control_commands,
    doctor,
    drill_commands,
    history_view,
    job_commands,
    kill_command,
    plan_command,
    policy_commands,
    run_commands,
    shadow_commands,
    simulate_command,
    status_command,
    why_commands,
)
from rollout.cli.exit_codes import code_of, table
from rollout.cli.output import say, show_error
from rollout.errors import RolloutError


class _Guarded(TyperGroup):
    """Turns this package's errors into two lines and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except RolloutError as error:
            show_error(error)
            raise typer.Exit(code_of(error)) from None


app = typer.Typer(
    name="rollout",
    cls=_Guarded,
    help="Move a sub-pipeline of Celery jobs to a new path, a little at a time, and back at once.",
    epilog=f"\b\nExit codes:\n{table()}",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"rollout {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    module: Annotated[
        str,
        typer.Option(
            "--app",
            "-A",
            metavar="MODULE",
            help="Module of the Celery app; asked for the broker when no setting names one.",
            show_default=False,
        ),
    ] = "",
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Keep the global options for the commands."""
    ctx.obj = module or None


for commands in (
    status_command,
    why_commands,
    control_commands,
    kill_command,
    shadow_commands,
    history_view,
    job_commands,
    policy_commands,
    plan_command,
    simulate_command,
    backtest_command,
    doctor,
    drill_commands,
    run_commands,
):
    commands.register(app)


def main() -> None:
    """Entry point of the `rollout` program."""
    app()
