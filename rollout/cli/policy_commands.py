"""`policy check` and `policy show`: what may happen by itself, and whether that makes sense."""

from typing import Annotated

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AnyName, AsJson
from rollout.cli.output import show_json, warn
from rollout.cli.policy_view import show_check, show_policy
from rollout.cli.session import opened

OrDefault = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="The sub-pipeline; without it the default.", show_default=False
    ),
]
JobsPerWeek = Annotated[
    float | None,
    typer.Option(
        min=0, help="Jobs a week, instead of what the ledger has seen.", show_default=False
    ),
]
ErrorRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of legacy's jobs that fail, 0..1, instead of what the ledger has seen.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    policy = typer.Typer(
        help="Show and check what may happen by itself.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (check, show):
        policy.command()(command)
    app.add_typer(policy, name="policy")


def check(
    ctx: typer.Context,
    name: AnyName = None,
    jobs_per_week: JobsPerWeek = None,
    error_rate: ErrorRate = None,
    as_json: AsJson = False,
) -> None:
    """Look for contradictions and for steps that can never be proved."""
    from rollout.policies import gone_settings
    from rollout.policy.check import Assumed
    from rollout.settings import read_policy_tables

    for gone in gone_settings(read_policy_tables()):
        warn(gone.sentence)
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.policy_check(name, Assumed(jobs_per_week, error_rate))
    if as_json:
        show_json(page.to_json())
    else:
        show_check(page)
    if not page.fine:
        raise typer.Exit(ExitCode.FOUND)


def show(ctx: typer.Context, name: OrDefault = None, as_json: AsJson = False) -> None:
    """Show the policy in force, and where each value comes from."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.policy(name)
    if as_json:
        show_json(page.to_json())
    else:
        show_policy(page)
