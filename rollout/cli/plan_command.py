"""`plan`: the way of a pilot before it begins, with what each step has to show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.options import AsJson, Name
from rollout.cli.output import listing, percent, say, show, show_json
from rollout.cli.session import opened
from rollout.routing.effects import Effects

if TYPE_CHECKING:
    from rollout.desk.plans import Planned
    from rollout.policy.plan import StepPlan

JobsPerDay = Annotated[
    float | None,
    typer.Option(min=0.1, help="Jobs a day, both paths together.", show_default="of the ledger"),
]
Failing = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Share of legacy's jobs that fail.", show_default="seen"),
]
CycleP95 = Annotated[
    float | None,
    typer.Option(
        "--cycle-p95", min=0.001, help="Seconds that 95 of 100 jobs keep to.", show_default="seen"
    ),
]
Declared = Annotated[
    Effects | None, typer.Option(help="What the paths do to the world.", show_default="declared")
]
Write = Annotated[
    bool, typer.Option("--write", help="Write the budget into rollout.toml, as it is now.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(plan)


def plan(
    ctx: typer.Context,
    name: Name,
    jobs_per_day: JobsPerDay = None,
    failing: Failing = None,
    cycle_p95_s: CycleP95 = None,
    effects: Declared = None,
    write: Write = False,
    as_json: AsJson = False,
) -> None:
    """Show the way of a pilot: steps, weeks, proofs, costs."""
    from rollout.desk.plans import Assumed, planned
    from rollout.policies import read_policies, write_budget

    assumed = Assumed(jobs_per_day, failing, cycle_p95_s, effects)
    if assumed.complete:
        page = planned(name, read_policies(), assumed)
    else:
        with opened(ctx, servers="") as runtime:
            page = planned(name, runtime.policies, assumed, runtime.ledger)
    if as_json:
        show_json(page.to_json())
    else:
        draw(page)
    if write:
        file = write_budget(name, page.table, Path.cwd())
        if not as_json:
            say(f"written to {file}")


def draw(page: "Planned") -> None:
    """Print a plan."""
    for sentence in page.sentences:
        say(sentence)
    from rollout.figures import count_text

    steps = page.plan.steps
    show(
        listing(
            ("step", "new/week", "to show: failures / late", "after first look", "9 of 10"),
            (
                (
                    percent(one.scope_bp),
                    count_text(one.jobs_a_week),
                    f"+{_points(one.points_failed)} points / +{_points(one.points_late)} points",
                    f"{one.first_look:.0%}",
                    "-" if one.days_nine is None else f"{one.days_nine:g} d",
                )
                for one in steps
            ),
            2,
        )
    )
    for sentence in page.variants:
        say(sentence)
    if steps:
        say(page.reverted)
        show(listing(_revert_columns(page), (_revert_row(one) for one in steps), 3))
    for sentence in page.held:
        say(sentence)


def _points(share: float) -> str:
    from rollout.figures import figures_text

    return figures_text(100 * share, 2)


def _revert_columns(page: "Planned") -> tuple[str, ...]:
    first, last = page.plan.first_day, page.plan.last_day
    return ("step", f"by day {first:g}", f"by day {last:g}", "worst extra failures")


def _revert_row(step: "StepPlan") -> tuple[str, ...]:
    rates = (step.reverted_first, step.reverted_last)
    shown = ("none" if one is None else f"{_points(one)} %" for one in rates)
    return (percent(step.scope_bp), *shown, f"{step.failed_worst:,}")


def say_plan(ctx: typer.Context, name: str) -> None:
    """Say a plan in three lines, for a pilot that has just begun; without traffic, in one."""
    from rollout.desk.plans import Assumed, TrafficUnknown, planned

    with opened(ctx, servers="") as runtime:
        try:
            page = planned(name, runtime.policies, Assumed(), runtime.ledger)
        except TrafficUnknown as unknown:
            say(f"no plan yet: {unknown.problem}")
            return
    if page.early:
        say(f"no plan yet: {page.too_early.partition('`. ')[0]}`")
        return
    for sentence in page.sentences:
        say(sentence)
