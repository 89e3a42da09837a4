"""`scale-test`: what twice the workers buy, measured on recorded inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson, Name
from rollout.cli.output import listing, say, show, show_json
from rollout.cli.run_commands import AppOption
from rollout.cli.session import opened, settings_with_app
from rollout.routing.effects import Effects

if TYPE_CHECKING:
    from rollout.preflight.facts import JobFact
    from rollout.scaling.scale import ScaleTest
    from rollout.up.subject import Subject

COPIES_MAX = 1_000
"""Recorded inputs of the ledger that go round."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="scale-test")(scale_test)


def scale_test(
    ctx: typer.Context,
    name: Name,
    app: AppOption = "",
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help='JSON lines of {"args": [], "kwargs": {}}.', show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Most workers.", show_default="twice the cores"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=2, help="How long all of it may take.")] = 60,
    effects: Annotated[
        Effects | None, typer.Option(help="What a plain task does to the world.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what twice the workers buy, on recorded inputs. Nothing commits."""
    from rollout.scaling.scale import judge
    from rollout.up.machine_use import cores
    from rollout.up.scale_test import Plan, scale
    from rollout.up.subject import subject_of

    module, settings = settings_with_app(
        ctx, app, "a scale test runs an app's path", "rollout scale-test NAME"
    )
    subject = subject_of(module, name)
    jobs, source = _recorded(ctx, subject, inputs or [])
    most = workers if workers is not None else max(2, round(2 * cores()))
    declared = "" if subject.pipeline is None else str(subject.pipeline.effects)
    plan = Plan(module, most, seconds, settings.shadow_limit_s)
    page = judge(scale(subject, declared or str(effects or ""), jobs, source, plan))
    if as_json:
        show_json(page.to_json())
    else:
        draw(page)


def _recorded(
    ctx: typer.Context, subject: "Subject", inputs: list[Path]
) -> tuple[list["JobFact"], str]:
    if inputs:
        from rollout.sources import read_recorded_inputs

        sources, jobs = read_recorded_inputs(inputs, subject.name, subject.task.name)
        return jobs, "; ".join(one.name for one in sources)
    with opened(ctx, servers="") as runtime:
        return runtime.shadowed_jobs(subject.name, COPIES_MAX), "the ledger"


def draw(page: "ScaleTest") -> None:
    """Print the verdict, the doublings, and what it cost."""
    from rollout.figures import figures_text
    from rollout.scaling.scale import rate_at

    measured = page.measured
    say(page.sentence, "bold")
    if measured.levels:
        ratios = {one.many: one for one in page.doublings}
        rows = []
        for level in measured.levels:
            one = ratios.get(level)
            spread = "" if one is None or one.low is None else f"{one.low:.2f} to {one.high:.2f}"
            rows.append(
                (
                    level, f"{figures_text(rate_at(measured, level))}/s",
                    "" if one is None else f"{one.ratio:.2f}", spread,
                )
            )  # fmt: skip
        show(listing(("workers", "jobs", "twice the workers", "95 %"), rows, whole=4))
    failed = sum(use.failed for one in measured.slices for use in one.uses)
    jobs = sum(one.jobs for one in measured.slices)
    if failed:
        say(f"{failed:,} of {jobs:,.0f} jobs raised: what they would have taken is not in this")
    say(
        f"ran {jobs:,.0f} jobs on {measured.inputs:,} inputs of {measured.source}, in "
        f"{measured.seconds:.0f} s with {measured.cpu_s:.0f} s of CPU and at most "
        f"{measured.memory_bytes / 1e6:,.0f} MB; nothing was committed, no process is left"
    )
    if page.limited is not None and page.limited.others_cores >= 0.2 * measured.cores:
        others = f"{page.limited.others_cores:.1f} of {measured.cores:g} cores"
        say(f"others had {others} busy meanwhile: measure again when it is quiet")
    if measured.ended:
        say(f"it ended early: {measured.ended}")
