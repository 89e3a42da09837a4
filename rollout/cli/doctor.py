"""`doctor` and `migrate`: what is configured, what answers, what is missing, what to do."""

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AsJson
from rollout.cli.output import facts, plain, say, show, show_json
from rollout.cli.session import broker_of_app, opened, settings_of

if TYPE_CHECKING:
    from rollout.desk.health import Health


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (doctor, migrate):
        app.command()(command)


_MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "missing": ("MISSING", "bold red"),
}


def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the settings, what answers, and what is missing."""
    from rollout.wiring import health

    page = health(lambda: settings_of(ctx), lambda given: broker_of_app(given, "store broker"))
    if as_json:
        show_json(page.to_json())
    else:
        _print(page)
    if not page.ok:
        raise typer.Exit(ExitCode.FOUND)


def _print(page: "Health") -> None:
    values = page.settings.items()
    if values:
        say("settings in force", "bold")
        show(facts((name, "-" if value is None else str(value)) for name, value in values))
        say("")
    say("checks", "bold")
    rows = []
    for finding in page.findings:
        word, style = _MARKS[str(finding.level)]
        text = Text.assemble((word, style), f": {plain(finding.found)}")
        if finding.todo:
            text.append(f"\nto do: {plain(finding.todo)}")
        rows.append((finding.what, text))
    show(facts(rows))


def migrate(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the ledger's tables to this release."""
    with opened(ctx, servers="") as runtime:
        done = runtime.migrate()
    if as_json:
        show_json(done.to_json())
    else:
        say(done.sentence)
