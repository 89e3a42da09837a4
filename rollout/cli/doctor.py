"""`doctor` and `migrate`: what is configured, what answers, what is missing, what to do."""

from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from rollout.cli.doctor_checks import look
from rollout.cli.exit_codes import ExitCode
from rollout.cli.finding import Finding, Level
from rollout.cli.options import AsJson
from rollout.cli.output import facts, plain, say, show, show_json
from rollout.cli.session import opened, settings_of
from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (doctor, migrate):
        app.command()(command)


_MARKS = {
    Level.OK: ("ok", "green"),
    Level.NOTE: ("note", "yellow"),
    Level.MISSING: ("MISSING", "bold red"),
}


def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the settings, what answers, and what is missing."""
    values: dict[str, Any] = {}
    try:
        settings = settings_of(ctx)
        values = settings_values(settings)
        findings = look(settings)
    except RolloutError as error:
        findings = [Finding("settings", Level.MISSING, error.problem, error.hint), _all_settings()]
    healthy = all(finding.level is not Level.MISSING for finding in findings)
    if as_json:
        show_json(
            {"ok": healthy, "settings": values, "findings": [one.values() for one in findings]}
        )
    else:
        _print(values, findings)
    if not healthy:
        raise typer.Exit(ExitCode.FOUND)


def _all_settings() -> Finding:
    from rollout.settings import Settings

    return Finding("known settings", Level.NOTE, ", ".join(Settings.model_fields))


def settings_values(settings: "Settings") -> dict[str, Any]:
    """The settings in force, wherever they came from, passwords hidden."""
    from rollout.settings import without_password

    return {
        name: without_password(value) if isinstance(value, str) else value
        for name, value in settings.model_dump().items()
    }


def _print(values: dict[str, Any], findings: list[Finding]) -> None:
    if values:
        say("settings in force", "bold")
        show(facts((name, "-" if value is None else str(value)) for name, value in values.items()))
        say("")
    say("checks", "bold")
    rows = []
    for finding in findings:
        word, style = _MARKS[finding.level]
        text = Text.assemble((word, style), f": {plain(finding.found)}")
        if finding.todo:
            text.append(f"\nto do: {plain(finding.todo)}")
        rows.append((finding.what, text))
    show(facts(rows))


def migrate(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the ledger's tables to this release."""
    from rollout.adapters.sql import migrate as migrations

    with opened(ctx, servers="") as runtime:
        before = migrations.current(runtime.database)
        after = migrations.migrate(runtime.database)
        url = runtime.database.url
    if as_json:
        show_json({"ledger": url, "before": before, "after": after})
    elif before == after:
        say(f"{url}: already at migration {after}, the newest")
    else:
        say(f"{url}: migrated from {before or 'no tables'} to {after}, the newest")
