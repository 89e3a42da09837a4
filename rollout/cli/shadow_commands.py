"""`shadow`, `shadow-report`, `determinism`: learn about the new path without using it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli.control_commands import change
from rollout.cli.options import Actor, AsJson, Limit, Name, Reason, Reveal, Revision, caller_of
from rollout.cli.output import show, show_json
from rollout.cli.run_commands import AppOption
from rollout.cli.session import opened, settings_with_app
from rollout.routing.stages import Event

if TYPE_CHECKING:
    from rollout.up.determinism import Input


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(shadow)
    app.command(name="shadow-report")(report)
    app.command()(determinism)


def shadow(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Run copies of legacy jobs on the new path and compare them. None of them commits."""
    change(ctx, name, Event.SHADOW, reason, revision, actor, as_json)


def report(
    ctx: typer.Context,
    name: Name,
    limit: Limit = 20,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Show what shadows found: outputs, noise, times, errors."""
    from rollout.cli.shadow_view import render

    with opened(ctx, servers="broker") as runtime:
        if reveal:
            said = "what shadows compared"
            runtime.door.note(caller_of(""), "reveal", name, said)
        page = runtime.desk.shadow_report(name, limit, revealed=reveal)
    if as_json:
        show_json(page.to_json())
    else:
        show(render(page))


def determinism(
    ctx: typer.Context,
    name: Name,
    app: AppOption = "",
    job: Annotated[
        str, typer.Option(metavar="ID", help="Use this job's input.", show_default=False)
    ] = "",
    args: Annotated[str, typer.Option(metavar="JSON", help="Positional arguments, a list.")] = "[]",
    kwargs: Annotated[
        str, typer.Option(metavar="JSON", help="Keyword arguments, an object.")
    ] = "{}",
    runs: Annotated[int, typer.Option(min=2, help="Runs of each path, alone and under load.")] = 6,
    processes: Annotated[int, typer.Option(min=2, help="Processes at once under load.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Run one input many times on both paths and compare fields. Nothing is committed."""
    from rollout.cli.determinism_view import render
    from rollout.shadow.determinism import judge_runs
    from rollout.up.determinism import Effort, declared, measure

    module, settings = settings_with_app(
        ctx, app, "paths can be run only with the app", "rollout determinism NAME"
    )
    pipeline = declared(module, name)
    given = _input(ctx, module, name, job, args, kwargs)
    effort = Effort(runs, processes, settings.shadow_limit_s)
    page = judge_runs(name, pipeline.comparison, measure(given, effort, pipeline))
    if as_json:
        show_json(page.to_json())
    else:
        show(render(page))


def _input(ctx: typer.Context, module: str, name: str, job: str, args: str, kwargs: str) -> "Input":
    from rollout.up.determinism import Input
    from rollout.wiring import arguments_in

    if not job:
        return Input(
            module, name, tuple(_json("--args", args, list)), _json("--kwargs", kwargs, dict)
        )
    with opened(ctx, servers="") as runtime:
        envelope = runtime.desk.input_of(name, job)
    return Input(module, name, *arguments_in(envelope))


def _json(option: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} must be JSON, got {text[:80]!r}: {error}") from None
    if not isinstance(value, kind):
        raise typer.BadParameter(f"{option} must be a JSON {kind.__name__}, got {text[:80]!r}")
    return value
