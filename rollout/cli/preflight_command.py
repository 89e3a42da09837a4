"""`preflight`: which jobs of the last days would break on the way, before the first one moves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AsJson
from rollout.cli.output import say, show_json
from rollout.cli.run_commands import AppOption
from rollout.cli.session import opened, settings_with_app
from rollout.routing.effects import Effects

if TYPE_CHECKING:
    from rollout.preflight.findings import Preflight

Task = Annotated[
    str,
    typer.Argument(metavar="TASK", help="The sub-pipeline, or a task.", show_default=False),
]
Logs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[LOG]...", help="Logs, as `rollout audit` reads them.", show_default=False
    ),
]
Inputs = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE", help='JSON lines of {"args": [], "kwargs": {}}.', show_default=False
    ),
]
Ledger = Annotated[
    bool | None,
    typer.Option(
        "--ledger/--no-ledger",
        help="Ask the ledger for jobs.",
        show_default="when no file is given",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(preflight)


def preflight(
    ctx: typer.Context,
    task: Task,
    logs: Logs = None,
    app: AppOption = "",
    inputs: Inputs = None,
    ledger: Ledger = None,
    days: Annotated[float, typer.Option(min=0.01, help="How far back the ledger is asked.")] = 7,
    jobs_max: Annotated[int, typer.Option(min=1, help="Most jobs of the ledger.")] = 10_000,
    run: Annotated[
        int, typer.Option(min=0, max=1000, help="Jobs to run, in processes that refuse writes.")
    ] = 0,
    hook: Annotated[
        bool, typer.Option("--hook", help="Run their commit hooks, too, and take it back.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Let a write through that contains this.", show_default=False
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes of the concurrent path.", show_default="concurrent_concurrency"
        ),
    ] = None,
    key: Annotated[
        str, typer.Option(metavar="ARGUMENT", help="Route a plain task by it.", show_default=False)
    ] = "",
    effects: Annotated[
        Effects | None, typer.Option(help="What a plain task does to the world.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 5 when something was not checked, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which jobs of the last days would break on the way. Nothing is changed."""
    from rollout.up.preflight import Asked, look

    module, _ = settings_with_app(
        ctx, app, "a preflight looks at an app's task", "rollout preflight TASK"
    )
    asked = Asked(
        logs=logs or [],
        inputs=inputs or [],
        ledger=not (logs or inputs) if ledger is None else ledger,
        days=days,
        jobs_max=jobs_max,
        runs=run,
        hooks=hook,
        processes=processes,
        key=key,
        effects=str(effects or ""),
        allowed=allow or [],
    )
    with opened(ctx, servers="") as runtime:
        page = look(module, task, asked, runtime)
    if as_json:
        show_json(page.to_json())
    else:
        draw(page)
    if page.findings or (strict and page.not_checked):
        raise typer.Exit(ExitCode.FOUND)


def draw(page: "Preflight") -> None:
    """Print what would break, what was not checked, and what was looked at."""
    head = (
        f"{len(page.findings)} found, {len(page.not_checked)} not checked, {len(page.passed)} fine"
    )
    say(f"{page.name}: {head}", "bold")
    told = "; ".join(f"{one.name}: {one.jobs:,}" for one in page.sources)
    say(f"jobs of {told}" if told else "no source of jobs")
    for finding in page.findings:
        say("")
        say(f"found  {finding.check}: {finding.sentence}", "bold")
        for example in finding.examples:
            say(f"       {example}")
        say(f"       do: {finding.todo}")
    if page.not_checked:
        say("")
    for one in page.not_checked:
        say(f"not checked  {one.check}, because {one.because}")
        say(f"             what would tell it: {one.remedy}")
    if page.passed:
        say("")
    for passed in page.passed:
        say(f"fine   {passed.check}: {passed.sentence}")
