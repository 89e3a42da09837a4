"""`backtest`: what a policy would have done on the jobs in this ledger."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson, Name
from rollout.cli.session import opened
from rollout.cli.simulate_command import (
    Injected,
    interruptible,
    policies_of,
    rehearse_and_show,
    said_of,
    setting_of,
    synthetic_drills,
)

if TYPE_CHECKING:
    from rollout.rehearsal.from_ledger import FromLedger

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(backtest)


def backtest(
    ctx: typer.Context,
    name: Name,
    policy: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Another policy to compare, from a file like rollout.toml; can be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer wants a list here and gives a fresh one
    inject: Injected = "",
    drill_pairs_per_week: Annotated[
        float, typer.Option(min=0, max=100, help="Synthetic drill pairs beside the recorded ones.")
    ] = 0,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Show the decisions of the policy in force instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask what a policy would have done on this ledger's jobs. Peers are asked, too."""
    from rollout.rehearsal.injection import parse_injection

    injection = parse_injection(inject) if inject else None
    others = {str(file): policies_of(file) for file in policy}
    with interruptible() as so_far, opened(ctx, servers="") as runtime:
        state = runtime.ledger.control(name)
        found = runtime.finished_jobs(name)
        policies = runtime.policies
        recorded = runtime.ledger.recoveries(name, _EVER)
        setting = setting_of(found.stream, policies, None, injection=injection)
        day_s = policies.of(name).day_s
        drills = [*recorded, *synthetic_drills(setting, day_s, drill_pairs_per_week, 1)]
        setting = replace(
            setting,
            drills=sorted(drills, key=lambda one: one.at),
            holdback_bp=state.holdback_bp,
        )
        heading = [*_said(found, len(recorded)), *said_of(injection, drill_pairs_per_week)]
        every = {"policy in force": policies, **others}
        rehearse_and_show(setting, every, heading, not timeline, as_json, so_far)


def _said(recorded: "FromLedger", recoveries: int) -> list[str]:
    from rollout.rehearsal.counterfactual import FEW

    stream = recorded.stream
    lines = [
        f"{stream.jobs:,} finished jobs of {stream.name!r} from "
        f"{stream.begins_at:%Y-%m-%d %H:%M} to {stream.ends_at:%Y-%m-%d %H:%M} UTC; "
        f"{recorded.left_out:,} more say nothing about a path",
        f"{recorded.on_legacy:,} ran on legacy, {recorded.on_concurrent:,} on the concurrent path; "
        "what the other would have made of a job is drawn from jobs that took it, near in time",
    ]
    for path, jobs in (
        ("legacy", recorded.on_legacy),
        ("the concurrent path", recorded.on_concurrent),
    ):
        if 0 < jobs < FEW:
            lines.append(f"{path} has only {jobs:,} jobs to draw from: take what follows lightly")
    if not recorded.on_concurrent:
        lines.append("no job took the concurrent path yet: it is taken to be as good as legacy")
    if not recorded.on_legacy:
        lines.append("no job took legacy: it is taken to be as good as the concurrent path")
    return [*lines, f"{recoveries} recorded recoveries"]
