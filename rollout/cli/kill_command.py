"""`kill`: prints exactly what is true, half by half.

The latch in the control store is set, and said, before anything is loaded that only the ledger
needs: the imports of this module and of what it calls until then are what a kill waits for.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.kill_progress import JsonProgress, KillProgress, say_fact
from rollout.cli.kill_view import job_lines, target
from rollout.cli.options import Actor, AsJson, NeededReason, OneOrAll, caller_of, one_or_all, said
from rollout.cli.output import complain, show_json
from rollout.cli.session import opened_for_kill

if TYPE_CHECKING:
    from rollout.control.kill_report import KillReport


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(kill)


def kill(
    ctx: typer.Context,
    name: OneOrAll = None,
    every: Annotated[bool, typer.Option("--all", help="Kill every sub-pipeline.")] = False,
    reason: NeededReason = "",
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Send every job to legacy now, until it is rearmed."""
    one_or_all(name, every)
    with opened_for_kill(ctx) as runtime:
        progress = JsonProgress(runtime) if as_json else KillProgress(runtime)
        try:
            with progress.watching() as heard:
                report = runtime.door.kill(caller_of(actor), name, said(reason), heard=heard)
        except KeyboardInterrupt:
            again = f"rollout kill {name or '--all'} --reason '...'"
            complain(
                "interrupted", f"{progress.interrupted()}; say it again: `{again}`", "bold red"
            )
            raise typer.Exit(ExitCode.PARTLY) from None
        still = runtime.desk.still_running(report) if report.running_abandoned else None
        if as_json:
            hanging = [] if still is None else still.to_json()
            show_json({**report.to_json(), "hanging": hanging})
        elif report.ledger_error is None:
            for fact, value in job_lines(report, runtime.settings.lost_after_s):
                say_fact(fact, value)
            for sentence in () if still is None else still.sentences:
                say_fact("still runs", sentence)
    code = exit_code(report)
    if code is ExitCode.UNANSWERED:
        _by_hand(report)
    raise typer.Exit(code)


def exit_code(report: "KillReport") -> ExitCode:
    """0 when both halves hold, 3 for one, 4 for none."""
    if report.complete:
        return ExitCode.FINE
    return ExitCode.PARTLY if report.holds else ExitCode.UNANSWERED


def _by_hand(report: "KillReport") -> None:
    """Say loudly what a person has to do now."""
    name = report.kill.name
    queue = f"queue {name}.concurrent" if name else "every queue that ends in .concurrent"
    complain("error", f"{target(report)} is NOT killed; do it by hand now", "bold red")
    complain(
        "hint",
        f"stop the workers of {queue} on every machine (`systemctl stop`, `docker stop`, "
        "`kill -9`), then kill again as soon as the control store or the ledger answers",
        "bold",
    )
