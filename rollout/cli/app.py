"""The Typer app: global options, error handling, and all commands."""

from typing import Annotated, Any

import typer

from rollout import __version__
from rollout.cli.exit_codes import code_of, table
from rollout.cli.groups import Grouped
from rollout.cli.loading import Commands
from rollout.cli.output import say, show_error
from rollout.errors import EXTRA_OF, ExtraMissing, RolloutError


class _Guarded(Grouped):
    """Loads commands when they are needed, and turns errors into two lines and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands()

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except RolloutError as error:
            show_error(error)
            raise typer.Exit(code_of(error)) from None
        except ModuleNotFoundError as error:
            if error.name not in EXTRA_OF:
                raise
            missing = ExtraMissing(error.name)
            show_error(missing)
            raise typer.Exit(code_of(missing)) from None


app = typer.Typer(
    name="rollout",
    cls=_Guarded,
    help="Move a sub-pipeline of Celery jobs to a new path, a little at a time, and back at once.",
    epilog=f"\b\nExit codes:\n{table()}",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    invoke_without_command=True,
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
    """Without a command: where everything stands, what needs somebody first."""
    ctx.obj = module or None
    if ctx.invoked_subcommand is None:
        from rollout.cli.status_command import first_screen

        first_screen(ctx)
